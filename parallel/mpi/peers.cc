#include "parallel/mpi/peers.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "parallel/rank/device.h"

namespace flux {
namespace {

using namespace std::chrono_literals;

constexpr Clock::duration kInterval = 50ms;

/// Process numbers mean the same to two ranks on one host and in one namespace of them.
std::string place() {
  std::error_code ignored;
  return host_name() + " " + std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
}

}  // namespace

std::string Peers::introduction() { return fmt::format("{} {}", getpid(), place()); }

Peers::Peers(Notices& notices, int rank, const std::vector<std::string>& introductions) : notices_(notices) {
  for (size_t other = 0; other < introductions.size(); ++other) {
    const std::string& text = introductions[other];
    const size_t space = text.find(' ');
    if (static_cast<int>(other) == rank || text.substr(space + 1) != place()) continue;
    // Kernels before 5.3 have no pidfd: there the launcher alone notices.
    const int process = static_cast<int>(syscall(SYS_pidfd_open, std::stoi(text.substr(0, space)), 0));
    if (process >= 0) peers_.push_back({static_cast<int>(other), process});
  }
}

Peers::~Peers() {
  for (const Peer& peer : peers_) close(peer.process);
}

bool Peers::progress() {
  if (Clock::now() < next_) return false;
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
