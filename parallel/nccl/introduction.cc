#include "parallel/nccl/introduction.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/group.h"
#include "parallel/rank/device.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

struct Member {
  std::string host;
  std::string card;  // UUID; empty without one
};

/// Asked for where cards reach each other and it goes wrong. NCCL itself does not heed it for memory that is
/// registered.
bool peer_access_is_off() {
  const char* off = std::getenv("NCCL_P2P_DISABLE");
  return off != nullptr && !std::string_view(off).empty() && std::string_view(off) != "0";
}

std::string uuid_of(at::Device device) {
  if (device.is_cuda())
    for (const Card& card : visible_cards())
      if (card.index == device.index()) return card.uuid;
  return "";
}

/// Whether a card reads another's memory. CUDA knows of those that this process sees; of others it is taken to, as NCCL
/// does, unless the driver knows better.
bool reaches(at::Device device, const std::string& other) {
  std::string mine;
  int index = -1;
  for (const Card& card : visible_cards()) {
    if (card.index == device.index()) mine = card.uuid;
    if (card.uuid == other) index = card.index;
  }
  if (mine == other) return true;
  int can = 0;
  if (index >= 0) return cudaDeviceCanAccessPeer(&can, device.index(), index) == cudaSuccess && can != 0;
  return reads_memory_of(mine, other).value_or(true);
}

bool reaches_all(at::Device device, const std::vector<Member>& members) {
  return !peer_access_is_off() &&
         std::ranges::all_of(members, [&](const Member& member) { return reaches(device, member.card); });
}

void require_a_card_each(const std::vector<Member>& members, const std::vector<int>& ranks) {
  std::map<std::string, int> rank_on;
  for (size_t position = 0; position < members.size(); ++position) {
    const auto& [host, card] = members[position];
    const int rank = ranks[position];
    if (card.empty()) throw Invalid(fmt::format("--transport nccl: rank {} has no card; use --transport mpi", rank));
    const auto [other, alone] = rank_on.emplace(fmt::format("{} {}", host, card), rank);
    if (!alone)
      throw Invalid(
          fmt::format("--transport nccl: ranks {} and {} share the card {} {}, which NCCL cannot; use --transport "
                      "mpi, or fewer ranks",
                      other->second, rank, host, card));
  }
}

const char* words(Way way) {
  switch (way) {
    case Way::kernels:
      return "by NCCL's kernels";
    case Way::peers:
      return "by copy engines, from card to card";
    case Way::the_host:
      return "by copy engines, through the host's memory";
  }
  return "";
}

Way way_between(HostGroup& host, at::Device device, const std::vector<Member>& members) {
  const std::vector<std::string> all_reach = host.exchange(reaches_all(device, members) ? "" : "not all");
  if (std::ranges::any_of(members, [&](const Member& member) { return member.host != members.front().host; }))
    return Way::kernels;
  return std::ranges::all_of(all_reach, &std::string::empty) ? Way::peers : Way::the_host;
}

}  // namespace

Introduction introduce(HostGroup& host, at::Device device) {
  Introduction group{};
  if (const ncclResult_t result = host.rank() == 0 ? ncclGetUniqueId(&group.id) : ncclSuccess; result != ncclSuccess) {
    const std::string why = fmt::format("NCCL: {} ({})", ncclGetErrorString(result), ncclGetLastError(nullptr));
    host.abort(why);  // which the others wait for
    throw Aborted("group: " + why);
  }
  const std::string id = host.exchange({group.id.internal, sizeof(group.id.internal)}).front();
  std::memcpy(group.id.internal, id.data(), sizeof(group.id.internal));

  std::vector<Member> members;
  for (std::string& name : host.exchange(host_name())) members.push_back({std::move(name), ""});
  const std::vector<std::string> cards = host.exchange(uuid_of(device));
  for (size_t position = 0; position < members.size(); ++position) members[position].card = cards[position];
  require_a_card_each(members, host.members());
  group.way = way_between(host, device, members);
  if (host.rank() == 0) spdlog::debug("{} gather {}", rank_names(host.members()), words(group.way));
  return group;
}

}  // namespace flux
