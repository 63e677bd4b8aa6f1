#include "runtime/scheduler.h"

#include <algorithm>
#include <sstream>
#include <utility>

namespace flux {
namespace {

constexpr size_t kWritesAhead = 4;       // pictures in memory that wait for the disk
constexpr size_t kMostConditioned = 32;  // pictures ahead of many replicas: a prompt's tensors take some 60 MB

}  // namespace

int64_t Scheduler::Replica::step() const {
  int64_t slowest = steps_in_all;
  for (int rank : ranks) {
    const auto found = steps.find(rank);
    slowest = std::min(slowest, found == steps.end() ? int64_t{0} : found->second);
  }
  return slowest;
}

Time Scheduler::Replica::step_time() const {
  const int64_t done = step();
  return done > 1 ? (progress - first) / (done - 1) : progress - began;
}

Time Scheduler::Replica::left(Time now) const { return step_time() * (steps_in_all - step()) - (now - progress); }

/// With a step to spare, and twice the time: what moves tensors is not even.
bool Scheduler::Replica::wants_next(Time now) const {
  if (pictures.size() != 1 || steps_in_all == 0 || 2 * step() < steps_in_all) return false;
  return !arrival || left(now) <= 2 * *arrival + step_time();
}

Scheduler::Scheduler(const Setup& setup) : timeout_(setup.timeout), startup_timeout_(setup.startup_timeout) {
  for (int rank : setup.encoders) encoders_.push_back({.rank = rank});
  for (int rank : setup.decoders) decoders_.push_back({.rank = rank});
  for (const auto& ranks : setup.replicas) replicas_.push_back({.ranks = ranks, .pictures = {}});
  for (const auto& encoder : encoders_) last_seen_[encoder.rank] = Time{0};
  for (const auto& decoder : decoders_) last_seen_[decoder.rank] = Time{0};
  for (size_t number = 0; number < replicas_.size(); ++number) {
    for (int rank : replicas_[number].ranks) {
      last_seen_[rank] = Time{0};
      replica_of_[rank] = number;
    }
    const int leader = replicas_[number].ranks.front();
    replicas_[number].decodes = std::ranges::any_of(decoders_, [&](const auto& each) { return each.rank == leader; });
  }
}

std::vector<Command> Scheduler::on(const Event& event, Time now) {
  if (over_) return {};
  commands_.clear();
  std::visit([&](const auto& kind) { handle(kind, now); }, event);
  if (!over_ && !begun_ && everything_ready()) {
    begun_ = true;
    if (!draining_) commands_.emplace_back(command::Begin{});
  }
  if (!over_ && begun_) {
    fill_replicas(now);
    fill_encoders(now);
    fill_decoders(now);
    if (std::holds_alternative<event::Tick>(event)) check_deadlines(now);
  } else if (!over_) {
    check_loading(now);
  }
  if (!over_ && finished()) {
    over_ = true;
    commands_.emplace_back(command::Stop{});
  }
  return std::exchange(commands_, {});
}

bool Scheduler::wants_requests() const { return !over_ && !draining_ && submitted_.size() < 2 * encoders_.size(); }

void Scheduler::handle(const event::Submitted& submitted, Time) {
  submitted_.push_back({submitted.request, submitted.pictures});
}

void Scheduler::handle(const event::Closed&, Time) { closed_ = true; }

void Scheduler::handle(const event::Drain&, Time) {
  draining_ = closed_ = true;
  submitted_.clear();
  conditioned_.clear();
}

void Scheduler::handle(const event::Ready& ready, Time now) {
  last_seen_[ready.rank] = now;
  ready_.insert(ready.rank);
}

void Scheduler::handle(const event::Alive& alive, Time now) {
  last_seen_[alive.rank] = now;
  const auto found = replica_of_.find(alive.rank);
  if (found == replica_of_.end()) return;
  Replica& replica = replicas_[found->second];
  if (replica.pictures.empty() || replica.pictures.front() != alive.picture) return;
  int64_t& step = replica.steps[alive.rank];
  const bool begun = replica.step() > 0;
  if (alive.step > step) replica.progress = now;
  step = std::max(step, alive.step);
  replica.steps_in_all = alive.steps;
  if (!begun && replica.step() > 0) replica.first = now;
}

void Scheduler::handle(const event::Encoded& encoded, Time now) {
  Encoder* encoder = encoding(encoded.request);
  if (encoder == nullptr) return;
  last_seen_[encoder->rank] = now;
  encoder->busy = false;
  if (draining_) return;
  conditioned_.insert(conditioned_.end(), encoder->doing.pictures.begin(), encoder->doing.pictures.end());
}

void Scheduler::handle(const event::Denoised& denoised, Time now) {
  for (auto& replica : replicas_) {
    if (replica.pictures.empty() || replica.pictures.front() != denoised.picture) continue;
    if (replica.waited && replica.step() > 1)
      replica.arrival = std::max(replica.first - replica.began - replica.step_time(), Time{0});
    replica.pictures.pop_front();
    replica.waited = false;
    begin_next(replica, now);
    latents_.push_back({denoised.picture, static_cast<size_t>(&replica - replicas_.data())});
    ++replica.undecoded;
    return;
  }
}

void Scheduler::handle(const event::Decoded& decoded, Time now) {
  free_decoder(decoded.picture, now);
  writing_.insert(decoded.picture);
  commands_.emplace_back(command::Write{decoded.picture});
}

void Scheduler::handle(const event::Written& written, Time) { writing_.erase(written.picture); }

void Scheduler::handle(const event::RequestFailed& failed, Time now) {
  Encoder* encoder = encoding(failed.request);
  if (encoder == nullptr) return;
  last_seen_[encoder->rank] = now;
  encoder->busy = false;
}

void Scheduler::handle(const event::PictureFailed& failed, Time now) { free_decoder(failed.picture, now); }

void Scheduler::handle(const event::RankFailed& failed, Time) {
  over_ = true;
  commands_.emplace_back(command::Abort{failed.rank, failed.why});
}

void Scheduler::handle(const event::Tick&, Time) {}

Scheduler::Encoder* Scheduler::encoding(int64_t request) {
  const auto found = std::find_if(encoders_.begin(), encoders_.end(), [&](const Encoder& encoder) {
    return encoder.busy && encoder.doing.request == request;
  });
  return found == encoders_.end() ? nullptr : &*found;
}

void Scheduler::begin_next(Replica& replica, Time now) {
  replica.steps.clear();
  replica.steps_in_all = 0;
  replica.began = replica.progress = now;
}

/// A decoder that is behind holds up those who wait for it, and nobody else.
bool Scheduler::takes_pictures(const Replica& replica) const {
  if (replica.decodes) return replica.undecoded < 3;
  return latents_.size() < 2 * replicas_.size() + 2;
}

void Scheduler::free_decoder(int64_t picture, Time now) {
  for (auto& decoder : decoders_) {
    if (decoder.doing != picture) continue;
    decoder.doing = -1;
    last_seen_[decoder.rank] = now;
  }
}

/// Ahead of the replicas by as many pictures as there are replicas, so that none waits for an encoder; of many replicas
/// fewer will be free at once.
void Scheduler::fill_encoders(Time now) {
  if (submitted_.empty()) return;
  const size_t most = std::min(replicas_.size(), std::max(kMostConditioned, 2 * encoders_.size()));
  size_t ahead = conditioned_.size();
  for (const auto& encoder : encoders_)
    if (encoder.busy) ahead += encoder.doing.pictures.size();
  for (auto& encoder : encoders_) {
    if (encoder.busy || submitted_.empty() || ahead >= most) continue;
    encoder = {encoder.rank, true, submitted_.front(), now};
    submitted_.pop_front();
    ahead += encoder.doing.pictures.size();
    commands_.emplace_back(command::Encode{encoder.doing.request, encoder.rank});
  }
}

/// Idle replicas first, then those that will be free soonest.
void Scheduler::fill_replicas(Time now) {
  if (conditioned_.empty()) return;
  for (auto& replica : replicas_)
    if (replica.pictures.empty() && takes_pictures(replica)) give(replica, now);
  while (!conditioned_.empty()) {
    Replica* next = nullptr;
    for (auto& replica : replicas_)
      if (replica.wants_next(now) && takes_pictures(replica) &&
          (next == nullptr || replica.left(now) < next->left(now)))
        next = &replica;
    if (next == nullptr) return;
    give(*next, now);
  }
}

void Scheduler::give(Replica& replica, Time now) {
  if (conditioned_.empty()) return;
  const int64_t picture = conditioned_.front();
  conditioned_.pop_front();
  if (replica.pictures.empty()) {
    replica.waited = true;
    begin_next(replica, now);
  }
  replica.pictures.push_back(picture);
  commands_.emplace_back(command::Denoise{picture, static_cast<int>(&replica - replicas_.data())});
}

void Scheduler::fill_decoders(Time now) {
  if (latents_.empty()) return;
  for (auto& decoder : decoders_) {
    if (decoder.doing >= 0 || writing_.size() >= std::max(kWritesAhead, 2 * decoders_.size())) continue;
    const auto found = std::ranges::find_if(latents_, [&](const Latents& latents) {
      const Replica& replica = replicas_[latents.replica];
      return !replica.decodes || replica.ranks.front() == decoder.rank;
    });
    if (found == latents_.end()) continue;
    --replicas_[found->replica].undecoded;
    decoder = {decoder.rank, found->picture, now};
    latents_.erase(found);
    commands_.emplace_back(command::Decode{decoder.doing, decoder.rank});
  }
}

void Scheduler::check_loading(Time now) {
  if (now <= startup_timeout_) return;
  for (const auto& [rank, seen] : last_seen_)
    if (ready_.count(rank) == 0)
      return overdue({rank}, startup_timeout_, "has not loaded its part of the model",
                     "--startup-timeout; give more where the disk is slow");
}

void Scheduler::check_deadlines(Time now) {
  const auto late = [&](Time since) { return now - since > timeout_; };
  for (const auto& encoder : encoders_)
    if (encoder.busy && late(encoder.since))
      return overdue({encoder.rank}, timeout_, "has not encoded a prompt",
                     "--timeout; give more where an encoding takes longer");
  for (const auto& decoder : decoders_)
    if (decoder.doing >= 0 && late(decoder.since))
      return overdue({decoder.rank}, timeout_, "has not decoded a picture",
                     "--timeout; give more where a decoding takes longer");
  for (const auto& replica : replicas_)
    if (!replica.pictures.empty() && late(replica.progress))
      return overdue(replica.ranks, timeout_, "has not finished a step",
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
  const auto idle = [](const auto& stages, const auto& busy) {
    return std::none_of(stages.begin(), stages.end(), busy);
  };
  return closed_ && begun_ && submitted_.empty() && conditioned_.empty() && latents_.empty() && writing_.empty() &&
         idle(encoders_, [](const Encoder& encoder) { return encoder.busy; }) &&
         idle(replicas_, [](const Replica& replica) { return !replica.pictures.empty(); }) &&
         idle(decoders_, [](const Decoder& decoder) { return decoder.doing >= 0; });
}

}  // namespace flux
