#pragma once

#include <functional>
#include <map>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "runtime/bench/load.h"
#include "runtime/bench/picture_log.h"
#include "runtime/run_log.h"
#include "runtime/scheduler.h"

namespace flux {

/// A run of a load without ranks and clock: every stage takes a fixed time, of which `on_the_way` is the transfer's.
class VirtualRun {
 public:
  Time encode{10}, denoise{1000}, decode{100}, write{5}, on_the_way{2};
  std::set<int64_t> bad;  // requests of one picture each that cannot be encoded

  VirtualRun(Load& load, int replicas) : load_(load), drawing_(replicas), scheduler_(setup(replicas)) {}

  void run() {
    for (int rank = 0; rank <= static_cast<int>(drawing_.size()); ++rank) tell(event::Ready{rank});
    while (!stopped_) {
      while (!closed_ && scheduler_.wants_requests() && load_.due() && *load_.due() <= now_) take_request();
      if (stopped_) break;
      while (!later_.empty() && later_.top().when <= now_) {
        const auto act = later_.top().act;
        later_.pop();
        act();
      }
      now_ += Time{1};
    }
  }

  PictureLog log;

 private:
  struct Later {
    Time when;
    int64_t order;
    std::function<void()> act;
    bool operator<(const Later& other) const { return std::tie(when, order) > std::tie(other.when, other.order); }
  };

  static Scheduler::Setup setup(int replicas) {
    Scheduler::Setup setup{{0}, {0}, {}, Time{1 << 30}, Time{1 << 30}};
    for (int replica = 0; replica < replicas; ++replica) setup.replicas.push_back({replica + 1});
    return setup;
  }

  void after(Time time, std::function<void()> act) { later_.push({now_ + time, order_++, std::move(act)}); }

  void tell(const Event& event) {
    run_log_.note(now_, event);
    for (const Command& command : scheduler_.on(event, now_)) {
      run_log_.note(now_, command);
      std::visit([this](const auto& kind) { obey(kind); }, command);
    }
  }

  void take_request() {
    const auto request = load_.next();
    if (!request) {
      closed_ = true;
      return tell(event::Closed{});
    }
    event::Submitted submitted{request->index, {}};
    for (int64_t k = 0; k < request->pictures; ++k) submitted.pictures.push_back(request->first_picture + k);
    tell(submitted);
  }

  template <typename Kind>
  void obey(const Kind&) {}
  void obey(const command::Encode& of) {
    after(encode + on_the_way, [this, of] {
      if (!bad.contains(of.request)) return tell(event::Encoded{of.request});
      Record record;
      record.picture = of.request;
      record.error = "cannot be encoded";
      run_log_.note(now_, record);
      tell(event::RequestFailed{of.request});
    });
  }
  void obey(const command::Denoise& of) {
    drawing_[of.replica].push_back(of.picture);
    if (drawing_[of.replica].size() == 1) draw(of.replica);
  }
  void draw(int replica) {
    const int64_t picture = drawing_[replica].front();
    after(denoise / 2, [this, replica, picture] { tell(event::Alive{replica + 1, picture, 1, 2}); });
    after(denoise + on_the_way, [this, replica, picture] {
      drawing_[replica].erase(drawing_[replica].begin());
      tell(event::Denoised{picture});
      if (!drawing_[replica].empty()) draw(replica);
    });
  }
  void obey(const command::Decode& of) {
    after(decode + on_the_way, [this, of] { tell(event::Decoded{of.picture}); });
  }
  void obey(const command::Write& of) {
    after(write, [this, of] {
      Record record;
      record.picture = of.picture;
      record.seconds = {in_seconds(encode), in_seconds(denoise), in_seconds(decode)};
      run_log_.note(now_, record);
      tell(event::Written{of.picture});
    });
  }
  void obey(const command::Stop&) { stopped_ = true; }

  Load& load_;
  RunLog run_log_{{&load_, &log}};
  std::vector<std::vector<int64_t>> drawing_;  // the first is being drawn
  Scheduler scheduler_;
  std::priority_queue<Later> later_;
  int64_t order_ = 0;
  Time now_{0};
  bool closed_ = false, stopped_ = false;
};

/// `count` requests of one picture each, the first of which is the first-th of the run.
inline std::vector<Request> numbered(int64_t first, int64_t count) {
  std::vector<Request> requests(count);
  for (int64_t i = 0; i < count; ++i) requests[i].index = requests[i].first_picture = first + i;
  return requests;
}

}  // namespace flux
