#include "runtime/rank_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "parallel/rank/errors.h"

namespace flux {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPatience{100};  // between looks at the clock and at signals

/// Notices when the coordinator is gone.
class Watch {
 public:
  explicit Watch(const RankLoop& loop) : loop_(loop) {}

  void heard() { heard_ = Clock::now(); }

  /// How this rank ends without the coordinator, if it must.
  std::optional<Ending> ending() {
    if (loop_.departure.was_stopped()) heard_ = Clock::now();  // what came meanwhile is still to be read
    const double silence = since(heard_);
    const int signal = loop_.departure.signal();
    if (signal == 0) signalled_ = Clock::now();
    // A signal to the whole job reaches the coordinator too, which says what is to be done. A launcher sends one a
    // second after a rank has died: where that is the coordinator, rank 1 says so in its place.
    const std::string coordinator = loop_.placement.named(Placement::coordinator);
    if (signal != 0 && silence > kCoordinatorsSilence) {
      if (loop_.world.rank() == 1)
        loop_.departure.say(coordinator + " died");  // at once: there may be no time to agree
      else if (since(signalled_) < kRank1Speaks)
        return std::nullopt;  // who ends, ends the others too
      return Ending{kFailed, ""};
    }
    if (signal != 0 && since(signalled_) > 1) return Ending{128 + signal, ""};
    // One after the other, so that one of them speaks.
    const double patience =
        std::chrono::duration<double>(loop_.operation.timeout).count() + 0.3 * (loop_.world.rank() - 1);
    if (silence > patience)
      return Ending{
          3, fmt::format("{}, which coordinates, gave no sign of life for {:.0f} s (--timeout)", coordinator, silence)};
    return std::nullopt;
  }

 private:
  static constexpr double kCoordinatorsSilence = 0.9;  // seconds: it shows life every half one
  static constexpr double kRank1Speaks = 0.5;          // seconds

  static double since(Clock::time_point when) { return std::chrono::duration<double>(Clock::now() - when).count(); }

  const RankLoop& loop_;
  Clock::time_point heard_ = Clock::now();
  Clock::time_point signalled_ = heard_;  // or not yet
};

}  // namespace

void stop_others(World& world, int exit_code) {
  for (int rank = 0; rank < world.size(); ++rank)
    if (rank != world.rank()) world.mailbox().send(rank, pack(Order(Stop{exit_code})));
}

Ending RankLoop::run() const {
  Watch watch(*this);
  bool told_on = false;  // that the job is to drain
  while (true) {
    const Time quiet = coordinator != nullptr ? coordinator->quiet() : kPatience;
    if (auto received = world.mailbox().receive(std::min<Time>(quiet, kPatience))) {
      Message message = unpack(std::move(received->parcel));
      if (auto* order = std::get_if<Order>(&message)) {
        watch.heard();
        if (const auto* stop = std::get_if<Stop>(order)) return {stop->exit_code, ""};
        if (!std::holds_alternative<Present>(*order)) worker.put(std::move(*order));
      } else if (coordinator != nullptr) {
        coordinator->handle(received->from, std::move(std::get<Report>(message)));
      } else {
        throw Aborted(placement.named(received->from) + " reports to a rank that does not coordinate");
      }
    }
    if (coordinator != nullptr) {
      coordinator->tick();
      if (coordinator->ending()) return *coordinator->ending();
    } else if (const auto ending = watch.ending()) {
      return *ending;
    }
    if (coordinator == nullptr && departure.told_to_drain() && !std::exchange(told_on, true))
      world.mailbox().send(Placement::coordinator, pack(Report(ToldToDrain{})));
  }
}

}  // namespace flux
