#include "runtime/bench/idle.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>

namespace flux {
namespace {

/// Pictures between two moments of theirs.
struct Counts {
  int64_t to_come = 0;      // not submitted
  int64_t to_encode = 0;    // or being encoded
  int64_t conditioned = 0;  // not given to a replica
  int64_t drawn = 0;        // being

  Counts& operator+=(const Counts& change) {
    to_come += change.to_come;
    to_encode += change.to_encode;
    conditioned += change.conditioned;
    drawn += change.drawn;
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
    ++changes[*picture.denoising].counts.drawn;
    changes[*picture.denoising].begin.push_back(picture.replica);
    --changes[*picture.denoised].counts.drawn;
    changes[*picture.denoised].end.push_back(picture.replica);
  }
  return changes;
}

/// Why a replica that draws nothing does not: at one time the same for all.
using Cause = double ReplicaUse::*;
constexpr std::array<Cause, 5> causes = {&ReplicaUse::waiting_for_decoder, &ReplicaUse::waiting_for_encoder,
                                         &ReplicaUse::no_request, &ReplicaUse::straggler, &ReplicaUse::drain};

Cause cause(const Counts& counts) {
  if (counts.conditioned > 0) return &ReplicaUse::waiting_for_decoder;
  if (counts.to_encode > 0) return &ReplicaUse::waiting_for_encoder;
  if (counts.to_come > 0) return &ReplicaUse::no_request;
  return counts.drawn == 0 ? &ReplicaUse::drain : &ReplicaUse::straggler;
}

/// Adds up what a replica would have been idle for that never drew; each takes of it the time between its pictures.
class Idle {
 public:
  explicit Idle(size_t replicas) : of_(replicas) {}

  void pass(double seconds, Cause why) { so_far_.*why += seconds; }

  void begins(int replica) {
    if (of_[replica].drawn++ == 0) take(of_[replica]);
  }

  void ends(int replica) {
    if (--of_[replica].drawn == 0) of_[replica].since = so_far_;
  }

  std::vector<ReplicaUse> uses() {
    std::vector<ReplicaUse> uses;
    for (Replica& replica : of_) {
      if (replica.drawn == 0) take(replica);
      uses.push_back(replica.use);
    }
    return uses;
  }

 private:
  struct Replica {
    int drawn = 0;  // pictures at once
    ReplicaUse use, since;
  };

  void take(Replica& replica) const {
    for (const Cause why : causes) replica.use.*why += so_far_.*why - replica.since.*why;
  }

  ReplicaUse so_far_;
  std::vector<Replica> of_;
};

}  // namespace

std::vector<ReplicaUse> replica_use(const std::vector<PictureTimes>& pictures, int replicas, Time from, Time to) {
  Idle idle(static_cast<size_t>(replicas));
  Counts counts;
  counts.to_come = static_cast<int64_t>(pictures.size());
  Time then = from;
  for (const auto& [when, change] : changes_of(pictures)) {
    idle.pass(in_seconds(std::min(when, to) - then), cause(counts));
    then = std::min(when, to);
    counts += change.counts;
    for (int replica : change.begin) idle.begins(replica);
    for (int replica : change.end) idle.ends(replica);
  }
  idle.pass(in_seconds(to - then), cause(counts));
  std::vector<ReplicaUse> uses = idle.uses();
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
