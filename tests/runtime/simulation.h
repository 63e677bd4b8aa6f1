#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "runtime/scheduler.h"

namespace flux {

using namespace std::chrono_literals;

/// Ranks that take random times, and a clock. Counts what happens to every request and picture.
class Simulation {
 public:
  Simulation(Scheduler::Setup setup, int pictures, unsigned seed)
      : random_(seed), pictures_(pictures), setup_(setup), drawing_(setup.replicas.size()), scheduler_(setup) {}

  /// Requests that fail when they are encoded.
  std::set<int64_t> bad;
  /// A replica stops reporting steps from this time on.
  int hung_replica = -1;
  int hung_rank = -1;
  /// Of each request, the last one's are cut to what is left.
  std::function<int64_t(int64_t request)> pictures_of_request = [](int64_t) { return 1; };
  /// Pictures that need not be drawn.
  std::set<int64_t> there;
  /// Of each picture: how many times longer its steps take than others'.
  std::function<int(int64_t picture)> slower = [](int64_t) { return 1; };
  /// The job is to drain from this time on.
  Time drained_at = Time::max();

  std::map<int64_t, int> encoded;                     // by request
  std::map<int64_t, int> denoised, decoded, written;  // by picture
  std::vector<int64_t> order;                         // of denoising
  Time idle_with_work{0};         // a replica was idle while a conditioned picture was given to nobody
  int passed_over = 0;            // pictures given to wait behind another while a replica was idle
  Time drawing{0};                // of all replicas together, in steps
  Time first_drawn{0}, drawn{0};  // when the first step began and the last ended
  size_t most_conditioned = 0, most_latents = 0;
  int begun = 0;
  bool stopped = false;
  std::vector<command::Abort> aborts;
  Time now{0};

  void run() {
    for (int rank : ranks()) later(span(10, 5000), [this, rank] { tell(event::Ready{rank}); });
    int64_t pictures = 0;
    for (int64_t request = 0; pictures < pictures_; ++request) {
      const int64_t end = std::min(pictures_, pictures + pictures_of_request(request));
      for (; pictures < end; ++pictures)
        if (!there.contains(pictures)) requests_[request].push_back(pictures);
      if (requests_.contains(request)) tell(event::Submitted{request, requests_[request]});
    }
    tell(event::Closed{});
    if (drained_at != Time::max()) later(drained_at, [this] { drain(); });
    for (int64_t tick = 1; !over() && tick < 2'000'000; ++tick) {
      while (!events_.empty() && events_.top().time <= now) {
        auto action = events_.top().action;
        events_.pop();
        action();
      }
      if (now.count() % 1000 == 0) {
        for (int rank : ranks())
          if (rank != hung_rank) alive(rank);
        tell(event::Tick{});
      }
      now += 10ms;
      if (conditioned_ > 0) idle_with_work += 10ms * idle_replicas();
    }
  }

  bool over() const { return stopped || !aborts.empty(); }
  bool is_bad(int64_t picture) const {
    return std::any_of(requests_.begin(), requests_.end(), [&](const auto& request) {
      return bad.contains(request.first) &&
             std::find(request.second.begin(), request.second.end(), picture) != request.second.end();
    });
  }
  const std::map<int64_t, std::vector<int64_t>>& requests() const { return requests_; }
  size_t begun_before_the_drain() const { return begun_before_; }

 private:
  struct Later {
    Time time;
    int64_t order;
    std::function<void()> action;
    bool operator<(const Later& other) const { return std::tie(time, order) > std::tie(other.time, other.order); }
  };

  std::set<int> ranks() const {
    std::set<int> all(setup_.encoders.begin(), setup_.encoders.end());
    all.insert(setup_.decoders.begin(), setup_.decoders.end());
    for (const auto& replica : setup_.replicas) all.insert(replica.begin(), replica.end());
    return all;
  }
  /// That have nothing to do and need not wait for the decoder.
  int idle_replicas() const {
    if (begun == 0 || latents_ >= 2 * drawing_.size() + 2) return 0;
    return static_cast<int>(
        std::count_if(drawing_.begin(), drawing_.end(), [](const auto& queue) { return queue.empty(); }));
  }
  Time span(int low, int high) { return Time(std::uniform_int_distribution<int>(low, high)(random_)); }
  void later(Time after, std::function<void()> action) { events_.push({now + after, count_++, std::move(action)}); }

  void alive(int rank) {
    for (size_t r = 0; r < setup_.replicas.size(); ++r)
      for (int member : setup_.replicas[r])
        if (member == rank && !drawing_[r].empty()) return tell(event::Alive{rank, drawing_[r].front(), 0, 4});
    tell(event::Alive{rank, -1, 0, 0});
  }

  void tell(const Event& event) {
    if (const auto* ready = std::get_if<event::Ready>(&event)) ready_.insert(ready->rank);
    if (over()) return;
    for (const auto& command : scheduler_.on(event, now)) std::visit([this](const auto& c) { obey(c); }, command);
  }

  void drain() {
    drained_ = true;
    begun_before_ = order.size();
    tell(event::Drain{});
  }

  void obey(const command::Begin&) {
    EXPECT_EQ(ready_, ranks()) << "nothing begins before everything is loaded";
    ++begun;
  }
  void obey(const command::Encode& encode) {
    EXPECT_EQ(begun, 1);
    EXPECT_FALSE(drained_);
    EXPECT_TRUE(encoding_.insert(encode.rank).second) << "one prompt at a time on a rank";
    later(span(10, 900), [this, encode] {
      encoding_.erase(encode.rank);
      if (bad.count(encode.request)) return tell(event::RequestFailed{encode.request});
      ++encoded[encode.request];
      conditioned_ += requests_[encode.request].size();
      most_conditioned = std::max(most_conditioned, conditioned_);
      tell(event::Encoded{encode.request});
    });
  }
  void obey(const command::Denoise& denoise) {
    --conditioned_;
    auto& queue = drawing_[denoise.replica];
    if (!queue.empty() && idle_replicas() > 0) ++passed_over;
    queue.push_back(denoise.picture);
    EXPECT_LE(queue.size(), 2u) << "one drawn, one waiting";
    order.push_back(denoise.picture);
    if (queue.size() == 1) draw(denoise.replica);
  }
  void draw(int replica) { step(replica, 1); }
  void step(int replica, int64_t step_number) {
    if (replica == hung_replica && now > 20s) return;
    const Time takes = span(20, 400) * slower(drawing_[replica].front());
    if (drawing == 0ms) first_drawn = now;
    drawing += takes;
    later(takes, [this, replica, step_number] {
      const int64_t picture = drawing_[replica].front();
      for (int rank : setup_.replicas[replica]) tell(event::Alive{rank, picture, step_number, 4});
      if (step_number < 4) return step(replica, step_number + 1);
      ++denoised[picture];
      drawn = now;
      drawing_[replica].pop_front();
      most_latents = std::max(most_latents, ++latents_);
      tell(event::Denoised{picture});
      if (!drawing_[replica].empty()) draw(replica);
    });
  }
  void obey(const command::Decode& decode) {
    EXPECT_TRUE(decoding_.insert(decode.rank).second) << "one picture at a time on a rank";
    --latents_;
    later(span(10, 700), [this, decode] {
      decoding_.erase(decode.rank);
      ++decoded[decode.picture];
      tell(event::Decoded{decode.picture});
    });
  }
  void obey(const command::Write& write) {
    later(span(1, 100), [this, write] {
      ++written[write.picture];
      tell(event::Written{write.picture});
    });
  }
  void obey(const command::Stop&) { stopped = true; }
  void obey(const command::Abort& abort) { aborts.push_back(abort); }

  std::mt19937 random_;
  int64_t pictures_;
  Scheduler::Setup setup_;
  std::map<int64_t, std::vector<int64_t>> requests_;  // their pictures
  std::vector<std::deque<int64_t>> drawing_;
  Scheduler scheduler_;
  std::priority_queue<Later> events_;
  int64_t count_ = 0;
  size_t conditioned_ = 0, latents_ = 0;
  bool drained_ = false;
  size_t begun_before_ = 0;
  std::set<int> ready_, encoding_, decoding_;
};

}  // namespace flux
