#include "parallel/rank/host_addresses.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>

namespace flux {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kPort = "22";
constexpr std::chrono::milliseconds kPatience{300};

/// In digits; empty of what has no place in them.
std::string digits(const sockaddr* address) {
  const bool v6 = address->sa_family == AF_INET6;
  if (!v6 && address->sa_family != AF_INET) return {};
  if (v6 && IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr)) return {};
  std::array<char, NI_MAXHOST> text{};
  const socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (getnameinfo(address, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) return {};
  return text.data();
}

bool unreachable(int error) {
  return error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN || error == ENETDOWN || error == ETIMEDOUT;
}

/// One knock at a door, which nobody waits for.
class Knock {
 public:
  explicit Knock(const std::string& address) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(address.c_str(), kPort, &hints, &found) != 0) return;
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> released(found, freeaddrinfo);
    socket_ = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return;
    result_ = connect(socket_, found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
  }
  ~Knock() {
    if (socket_ >= 0) close(socket_);
  }
  Knock(const Knock&) = delete;
  Knock& operator=(const Knock&) = delete;

  bool waits() const { return result_ == EINPROGRESS; }
  bool answered() const { return result_ == 0 || result_ == ECONNREFUSED; }
  bool unanswered() const { return waits() || unreachable(result_); }

  /// Of poll().
  pollfd wish() const { return {waits() ? socket_ : -1, POLLOUT, 0}; }

  void look(const pollfd& seen) {
    socklen_t size = sizeof result_;
    if (waits() && seen.revents != 0) getsockopt(socket_, SOL_SOCKET, SO_ERROR, &result_, &size);
  }

 private:
  int socket_ = -1;
  int result_ = EINVAL;  // of the connection; at first: nobody could be asked
};

}  // namespace

std::vector<std::string> host_addresses() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> released(first, freeifaddrs);
  std::vector<std::string> addresses;
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_LOOPBACK) != 0 || (one->ifa_flags & IFF_UP) == 0) continue;
    if (std::string text = digits(one->ifa_addr); !text.empty()) addresses.push_back(std::move(text));
  }
  return addresses;
}

bool host_answers(const std::vector<std::string>& addresses) {
  const std::vector<std::string> own = host_addresses();
  std::vector<std::unique_ptr<Knock>> knocks;
  for (const std::string& address : addresses)
    if (std::ranges::find(own, address) == own.end()) knocks.push_back(std::make_unique<Knock>(address));
  const auto end = Clock::now() + kPatience;
  for (;;) {
    if (std::ranges::any_of(knocks, [](const auto& knock) { return knock->answered(); })) return true;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    std::vector<pollfd> doors;
    for (const auto& knock : knocks) doors.push_back(knock->wish());
    const bool waits = std::ranges::any_of(doors, [](const pollfd& door) { return door.fd >= 0; });
    if (!waits || left.count() <= 0) break;
    poll(doors.data(), doors.size(), static_cast<int>(left.count()));
    for (size_t i = 0; i < knocks.size(); ++i) knocks[i]->look(doors[i]);
  }
  return std::ranges::none_of(knocks, [](const auto& knock) { return knock->unanswered(); });
}

}  // namespace flux
