#include "parallel/mpi/peers.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "parallel/mpi/siblings.h"
#include "parallel/rank/device.h"

namespace flux {
namespace {

using namespace std::chrono_literals;

constexpr Clock::duration kInterval = 50ms;
constexpr Clock::duration kBetweenListening = 400ms;

}  // namespace

Peers::Peers(Engine& engine, Notices& notices) : engine_(engine), notices_(notices) {
  const std::vector<ProcessPlace>& all = engine.places();
  const ProcessPlace& mine = all.at(static_cast<size_t>(engine.rank()));
  for (int other = 0; other < engine.size(); ++other) {
    const ProcessPlace& theirs = all[static_cast<size_t>(other)];
    if (other == engine.rank() || theirs.place != mine.place) continue;
    // Kernels before 5.3 have no pidfd: there the launcher alone notices.
    const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, theirs.process, 0));
    if (descriptor >= 0) peers_.push_back({other, theirs.process, descriptor});
  }
}

Peers::~Peers() {
  for (const Peer& peer : peers_) close(peer.descriptor);
}

/// A rank that still waits for MPI, and says for whom, ends soon after: it has not died.
void Peers::listen() {
  if (Clock::now() < next_listening_) return;
  next_listening_ = Clock::now() + kBetweenListening;
  for (Peer& peer : peers_) peer.spoke |= Siblings::spoke(peer.process);
}

bool Peers::progress() {
  listen();
  if (Clock::now() < next_ || engine_.departure().was_stopped()) return false;
  next_ = Clock::now() + kInterval;
  for (const Peer& peer : peers_) {
    pollfd watched{peer.descriptor, POLLIN, 0};
    if (poll(&watched, 1, 0) != 1) continue;
    const std::string why = peer.spoke ? "" : fmt::format("rank {} died (on {})", peer.rank, host_name());
    notices_.end_job({kFailed, why, peer.rank}, peer.rank == 0 ? 1 : 0);
    return true;
  }
  return false;
}

}  // namespace flux
