#include "runtime/bench/idle.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>

namespace flux {
namespace {

/// Pictures between two moments of theirs.
struct Counts {
  int64_t to_come = 0;      // not submitted
  int64_t to_encode = 0;    // or being encoded
  int64_t conditioned = 0;  // not given to a replica
  std::multiset<int> drawn_by;

  Counts& operator+=(const Counts& change) {
    to_come += change.to_come;
    to_encode += change.to_encode;
    conditioned += change.conditioned;
    return *this;
  }
};

/// What happens at one time.
struct Change {
  Counts counts;
  std::vector<int> begin, end;  // replicas
};

std::map<Time, Change> changes_of(const std::vector<PictureTimes>& pictures) {
  std::map<Time, Change> changes;
  for (const PictureTimes& picture : pictures) {
    const Time submitted = picture.submitted.value_or(picture.done);
    --changes[submitted].counts.to_come;
    ++changes[submitted].counts.to_encode;
    const Time encoded = picture.encoded.value_or(picture.done);
    --changes[encoded].counts.to_encode;
    ++changes[encoded].counts.conditioned;
    --changes[picture.to_replica.value_or(picture.done)].counts.conditioned;
    if (!picture.denoised) continue;
    changes[*picture.denoising].begin.push_back(picture.replica);
    changes[*picture.denoised].end.push_back(picture.replica);
  }
  return changes;
}

double& cause(const Counts& counts, ReplicaUse& use) {
  if (counts.conditioned > 0) return use.waiting_for_decoder;
  if (counts.to_encode > 0) return use.waiting_for_encoder;
  if (counts.to_come > 0) return use.no_request;
  return counts.drawn_by.empty() ? use.drain : use.straggler;
}

void pass(double seconds, const Counts& counts, std::vector<ReplicaUse>& uses) {
  for (size_t number = 0; number < uses.size(); ++number)
    if (!counts.drawn_by.contains(static_cast<int>(number))) cause(counts, uses[number]) += seconds;
}

}  // namespace

std::vector<ReplicaUse> replica_use(const std::vector<PictureTimes>& pictures, int replicas, Time from, Time to) {
  std::vector<ReplicaUse> uses(replicas);
  Counts counts;
  counts.to_come = static_cast<int64_t>(pictures.size());
  Time then = from;
  for (const auto& [when, change] : changes_of(pictures)) {
    pass(in_seconds(std::min(when, to) - then), counts, uses);
    then = std::min(when, to);
    counts += change.counts;
    for (int replica : change.begin) counts.drawn_by.insert(replica);
    for (int replica : change.end) counts.drawn_by.erase(counts.drawn_by.find(replica));
  }
  pass(in_seconds(to - then), counts, uses);
  for (const PictureTimes& picture : pictures) {
    if (!picture.denoised) continue;
    const double there = in_seconds(*picture.denoised - *picture.denoising);
    const double drawing = std::min(picture.seconds.denoise, there);
    uses[picture.replica].busy += drawing;
    uses[picture.replica].transfer += there - drawing;
  }
  return uses;
}

}  // namespace flux
