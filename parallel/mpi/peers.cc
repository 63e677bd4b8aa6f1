#include "parallel/mpi/peers.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "parallel/rank/device.h"

namespace flux {
namespace {

using namespace std::chrono_literals;

constexpr Clock::duration kInterval = 50ms;

}  // namespace

Peers::Peers(Engine& engine, Notices& notices) : engine_(engine), notices_(notices) {
  const std::vector<Introduction>& all = engine.introductions();
  const Introduction& mine = all.at(static_cast<size_t>(engine.rank()));
  for (int other = 0; other < engine.size(); ++other) {
    const Introduction& theirs = all[static_cast<size_t>(other)];
    if (other == engine.rank() || theirs.place != mine.place) continue;
    // Kernels before 5.3 have no pidfd: there the launcher alone notices.
    const int process = static_cast<int>(syscall(SYS_pidfd_open, theirs.process, 0));
    if (process >= 0) peers_.push_back({other, process});
  }
}

Peers::~Peers() {
  for (const Peer& peer : peers_) close(peer.process);
}

bool Peers::progress() {
  if (Clock::now() < next_ || engine_.departure().was_stopped()) return false;
  next_ = Clock::now() + kInterval;
  for (const Peer& peer : peers_) {
    pollfd watched{peer.process, POLLIN, 0};
    if (poll(&watched, 1, 0) == 1) {
      notices_.end_job({3, fmt::format("rank {} died (on {})", peer.rank, host_name())}, peer.rank == 0 ? 1 : 0);
      return true;
    }
  }
  return false;
}

}  // namespace flux
