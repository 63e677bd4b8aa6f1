#include "runtime/bench/virtual_run.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <variant>

namespace flux {
namespace {

constexpr Time kForEver{1 << 30};
constexpr double kMessages = 3;  // of a picture's: encoded, denoised, decoded

Scheduler::Setup unhurried(Scheduler::Setup setup) {
  setup.timeout = setup.startup_timeout = kForEver;
  return setup;
}

Record record_of(int64_t picture, const StageTimes& times, std::string error) {
  Record record;
  record.picture = picture;
  record.seconds = {in_seconds(times.encode), in_seconds(times.denoise), in_seconds(times.decode)};
  record.error = std::move(error);
  return record;
}

}  // namespace

VirtualRun::VirtualRun(Load& load, const Scheduler::Setup& setup, const StageTimes& times)
    : setup_(unhurried(setup)), times_(times), load_(load), drawing_(setup.replicas.size()), scheduler_(setup_) {}

void VirtualRun::run() {
  begin();
  while (!stopped_) {
    while (!closed_ && scheduler_.wants_requests() && load_.due() && *load_.due() <= now_) take_request();
    if (stopped_) break;
    while (!later_.empty() && later_.top().when <= now_) {
      const auto act = later_.top().act;
      later_.pop();
      act();
    }
    now_ = std::max(now_ + Time{1}, next());
  }
}

/// When something happens, or a request comes.
Time VirtualRun::next() const {
  Time when = later_.empty() ? now_ : later_.top().when;
  if (closed_ || !scheduler_.wants_requests()) return when;
  if (const auto due = load_.due()) when = later_.empty() ? *due : std::min(when, *due);
  return when;
}

void VirtualRun::begin() {
  std::set<int> ranks(setup_.encoders.begin(), setup_.encoders.end());
  ranks.insert(setup_.decoders.begin(), setup_.decoders.end());
  for (const auto& replica : setup_.replicas) ranks.insert(replica.begin(), replica.end());
  for (int rank : ranks) tell(event::Ready{rank});
}

/// The event is heard of so much later, once the coordinator has time for it.
void VirtualRun::arrive(Time time, const Event& event) {
  after(time, [this, event] { hear(event); });
}

void VirtualRun::hear(const Event& event) {
  if (times_.coordinator == 0) return tell(event);
  const double takes = times_.coordinator / kMessages;
  const auto now = static_cast<double>(now_.count());
  coordinator_free_ = std::max(coordinator_free_, now) + takes;
  coordinating_ += takes;
  after(Time{std::llround(coordinator_free_ - now)}, [this, event] { tell(event); });
}

void VirtualRun::tell(const Event& event) {
  run_log_.note(now_, event);
  for (const Command& command : scheduler_.on(event, now_)) {
    run_log_.note(now_, command);
    std::visit([this](const auto& kind) { obey(kind); }, command);
  }
}

void VirtualRun::take_request() {
  const auto request = load_.next();
  if (!request) {
    closed_ = true;
    return tell(event::Closed{});
  }
  event::Submitted submitted{request->index, {}};
  for (int64_t k = 0; k < request->pictures; ++k) submitted.pictures.push_back(request->first_picture + k);
  tell(submitted);
}

void VirtualRun::obey(const command::Encode& of) {
  if (!bad.contains(of.request)) return arrive(times_.encode + times_.on_the_way, event::Encoded{of.request});
  after(times_.encode + times_.on_the_way, [this, of] {
    run_log_.note(now_, record_of(of.request, {}, "cannot be encoded"));
    tell(event::RequestFailed{of.request});
  });
}

void VirtualRun::obey(const command::Denoise& of) {
  drawing_[of.replica].push_back(of.picture);
  if (drawing_[of.replica].size() == 1) draw(of.replica);
}

void VirtualRun::draw(int replica) {
  const int64_t picture = drawing_[replica].front();
  after(times_.denoise / 2, [this, replica, picture] {
    for (int rank : setup_.replicas[replica]) tell(event::Alive{rank, picture, 1, 2});
  });
  after(times_.denoise + times_.on_the_way, [this, replica, picture] {
    drawing_[replica].erase(drawing_[replica].begin());
    hear(event::Denoised{picture});
    if (!drawing_[replica].empty()) draw(replica);
  });
}

void VirtualRun::obey(const command::Decode& of) {
  arrive(times_.decode + times_.on_the_way, event::Decoded{of.picture});
}

void VirtualRun::obey(const command::Write& of) {
  after(times_.write, [this, of] {
    run_log_.note(now_, record_of(of.picture, times_, ""));
    tell(event::Written{of.picture});
  });
}

std::vector<Request> numbered(int64_t first, int64_t count) {
  std::vector<Request> requests(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    requests[static_cast<size_t>(i)].index = requests[static_cast<size_t>(i)].first_picture = first + i;
  return requests;
}

}  // namespace flux
