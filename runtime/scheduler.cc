#include "runtime/scheduler.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace flux {
namespace {

constexpr size_t kWritesAhead = 4;  // pictures in memory that wait for the disk

}  // namespace

int64_t Scheduler::Replica::step() const {
  int64_t slowest = steps_of_job;
  for (int rank : ranks) {
    const auto found = steps.find(rank);
    slowest = std::min(slowest, found == steps.end() ? int64_t{0} : found->second);
  }
  return slowest;
}

Scheduler::Scheduler(Setup setup) : setup_(std::move(setup)) {
  last_seen_[setup_.encoder] = Time{0};
  for (const auto& ranks : setup_.replicas) {
    replicas_.push_back({ranks, {}, {}, 0, Time{0}, false});
    for (int rank : ranks) last_seen_[rank] = Time{0};
  }
}

std::vector<Command> Scheduler::on(const Event& event, Time now) {
  if (over_) return {};
  commands_.clear();
  std::visit([&](const auto& kind) { handle(kind, now); }, event);
  if (!over_ && ready_.count(setup_.encoder)) {
    fill_replicas(now);
    // Ahead of the replicas by as many prompts as there are replicas, so that none waits for the encoder.
    if (!encoding_.busy() && !submitted_.empty() && conditioned_.size() < replicas_.size()) {
      encoding_ = {submitted_.front(), now};
      submitted_.pop_front();
      commands_.emplace_back(command::Encode{encoding_.job});
    }
    if (!decoding_.busy() && !latents_.empty() && writing_.size() < kWritesAhead) {
      decoding_ = {latents_.front(), now};
      latents_.pop_front();
      commands_.emplace_back(command::Decode{decoding_.job});
    }
  }
  if (!over_) check_deadlines(now);
  if (!over_ && finished()) {
    over_ = true;
    commands_.emplace_back(command::Stop{});
  }
  return std::exchange(commands_, {});
}

void Scheduler::handle(const event::Submitted& submitted, Time) { submitted_.push_back(submitted.job); }

void Scheduler::handle(const event::Closed&, Time) { closed_ = true; }

void Scheduler::handle(const event::Ready& ready, Time now) {
  last_seen_[ready.rank] = now;
  ready_.insert(ready.rank);
  for (auto& replica : replicas_)
    replica.ready =
        std::all_of(replica.ranks.begin(), replica.ranks.end(), [&](int rank) { return ready_.count(rank) > 0; });
}

void Scheduler::handle(const event::Alive& alive, Time now) {
  last_seen_[alive.rank] = now;
  for (auto& replica : replicas_) {
    const bool member = std::find(replica.ranks.begin(), replica.ranks.end(), alive.rank) != replica.ranks.end();
    if (!member || replica.jobs.empty() || replica.jobs.front() != alive.job) continue;
    int64_t& step = replica.steps[alive.rank];
    if (alive.step > step) replica.progress = now;
    step = std::max(step, alive.step);
    replica.steps_of_job = alive.steps;
  }
}

void Scheduler::handle(const event::Encoded& encoded, Time now) {
  last_seen_[setup_.encoder] = now;
  encoding_ = {};
  conditioned_.push_back(encoded.job);
}

void Scheduler::handle(const event::Denoised& denoised, Time now) {
  for (auto& replica : replicas_) {
    if (replica.jobs.empty() || replica.jobs.front() != denoised.job) continue;
    finish_first(replica, now);
    latents_.push_back(denoised.job);
    return;
  }
}

void Scheduler::handle(const event::Decoded& decoded, Time now) {
  last_seen_[setup_.encoder] = now;
  decoding_ = {};
  writing_.insert(decoded.job);
  commands_.emplace_back(command::Write{decoded.job});
}

void Scheduler::handle(const event::Written& written, Time) { writing_.erase(written.job); }

void Scheduler::handle(const event::JobFailed& failed, Time) {
  if (encoding_.job == failed.job) encoding_ = {};
  if (decoding_.job == failed.job) decoding_ = {};
  writing_.erase(failed.job);
}

void Scheduler::handle(const event::RankFailed& failed, Time) {
  over_ = true;
  commands_.emplace_back(command::Abort{failed.rank, failed.why});
}

void Scheduler::handle(const event::Tick&, Time) {}

/// Idle replicas first, then those that will be free soonest.
void Scheduler::fill_replicas(Time now) {
  const size_t undecoded = 2 * replicas_.size() + 2;
  for (auto& replica : replicas_)
    if (replica.ready && replica.jobs.empty() && latents_.size() < undecoded) give(replica, now);
  for (auto& replica : replicas_)
    if (replica.jobs.size() == 1 && replica.half_through() && latents_.size() < undecoded) give(replica, now);
}

void Scheduler::give(Replica& replica, Time now) {
  if (conditioned_.empty()) return;
  const int64_t job = conditioned_.front();
  conditioned_.pop_front();
  if (replica.jobs.empty()) replica.progress = now;
  replica.jobs.push_back(job);
  commands_.emplace_back(command::Denoise{job, static_cast<int>(&replica - replicas_.data())});
}

void Scheduler::finish_first(Replica& replica, Time now) {
  replica.jobs.pop_front();
  replica.steps.clear();
  replica.steps_of_job = 0;
  replica.progress = now;
}

void Scheduler::check_deadlines(Time now) {
  if (!everything_ready()) {
    for (const auto& [rank, seen] : last_seen_)
      if (!ready_.count(rank) && now > setup_.startup_timeout)
        return overdue({rank}, setup_.startup_timeout, "has not loaded its part of the model", "--startup-timeout");
    return;
  }
  if (encoding_.busy() && now - encoding_.since > setup_.timeout)
    return overdue({setup_.encoder}, setup_.timeout, "has not encoded a prompt", "--timeout");
  if (decoding_.busy() && now - decoding_.since > setup_.timeout)
    return overdue({setup_.encoder}, setup_.timeout, "has not decoded a picture", "--timeout");
  for (const auto& replica : replicas_)
    if (!replica.jobs.empty() && now - replica.progress > setup_.timeout)
      return overdue(replica.ranks, setup_.timeout, "has not finished a step",
                     "--timeout; give more where a step takes longer");
}

/// Of ranks that wait for one another, the one that was silent longest is to blame.
void Scheduler::overdue(const std::vector<int>& ranks, Time limit, const std::string& what, const std::string& flag) {
  const int rank =
      *std::min_element(ranks.begin(), ranks.end(), [&](int a, int b) { return last_seen_[a] < last_seen_[b]; });
  std::ostringstream why;
  why << what << " within " << static_cast<double>(limit.count()) / 1000 << " s (" << flag << ")";
  over_ = true;
  commands_.emplace_back(command::Abort{rank, why.str()});
}

bool Scheduler::finished() const {
  const bool idle = std::all_of(replicas_.begin(), replicas_.end(), [](const Replica& r) { return r.jobs.empty(); });
  return closed_ && everything_ready() && submitted_.empty() && !encoding_.busy() && conditioned_.empty() && idle &&
         latents_.empty() && !decoding_.busy() && writing_.empty();
}

}  // namespace flux
