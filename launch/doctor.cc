// One row a rank: what it stands on. Then what the links between ranks carry, over the transport that generate would
// take.

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>
#include <link.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <numeric>

#include "launch/say.h"
#include "launch/verbs.h"
#include "parallel/rank/device.h"
#include "runtime/gather_times.h"
#include "runtime/options/convert.h"
#include "runtime/placement.h"
#include "runtime/rank_facts.h"
#include "runtime/roll_call.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

constexpr double gib = 1 << 30;

/// The files behind the libraries that differ between machines.
std::vector<std::string> library_paths() {
  std::vector<std::string> paths;
  const auto keep = [](dl_phdr_info* info, size_t, void* into) {
    const std::string_view path = info->dlpi_name;
    for (const char* name :
         {"libtorch_cpu.", "libtorch_cuda.", "libnccl.", "libcudart.", "libmpi.", "libsentencepiece."}) {
      if (path.find(name) != std::string_view::npos) static_cast<std::vector<std::string>*>(into)->emplace_back(path);
    }
    return 0;
  };
  dl_iterate_phdr(keep, &paths);
  return paths;
}

int64_t available_memory() {
  return static_cast<int64_t>(sysconf(_SC_AVPHYS_PAGES)) * static_cast<int64_t>(sysconf(_SC_PAGESIZE));
}

Json row(const World& world, const RankFacts& facts) {
  Json cards = Json::array();
  for (const Card& card : facts.cards) {
    cards.push_back({{"card", card.name},
                     {"uuid", card.uuid},
                     {"capability", fmt::format("{}.{}", card.capability / 10, card.capability % 10)},
                     {"free_gib", static_cast<double>(free_bytes(card.uuid)) / gib}});
  }
  return {{"rank", world.rank()},        {"host", facts.host},
          {"cores", facts.cores},        {"free_gib", static_cast<double>(available_memory()) / gib},
          {"driver", driver_release()},  {"cards", cards},
          {"libraries", library_paths()}};
}

std::string as_text(const Json& row) {
  std::string text =
      fmt::format("rank {:<3} {}  {} cores  {:.1f} GiB free\n", row["rank"].get<int>(), row["host"].get<std::string>(),
                  row["cores"].get<int>(), row["free_gib"].get<double>());
  for (const Json& card : row["cards"]) {
    text += fmt::format("  card {} (sm {}), {}, driver {}, {:.1f} GiB free\n", card["card"].get<std::string>(),
                        card["capability"].get<std::string>(), card["uuid"].get<std::string>(),
                        row["driver"].get<std::string>(), card["free_gib"].get<double>());
  }
  for (const Json& library : row["libraries"]) text += fmt::format("  {}\n", library.get<std::string>());
  return text;
}

/// Ranks that measure together.
struct Link {
  std::vector<int> ranks;
  Transport transport;
};

/// Seconds of the quickest of a few all_gathers.
double quickest(const Gathers& gathers) { return std::ranges::min(gathers.milliseconds) / 1e3; }

Json measured(const Link& link, World& world, at::Device device) {
  constexpr int64_t small = 4 << 10, large = 32 << 20;  // a latency, and about what a block of FLUX.1 gathers
  constexpr int64_t repetitions = 5;
  const c10::DeviceGuard current(device);
  const auto group = world.group(link.ranks, link.transport, device);
  const auto gathers = [&](int64_t bytes) {
    return timed_gathers(*group, device, even_bytes(bytes, group->size()), repetitions);
  };
  const double latency = quickest(gathers(small)), seconds = quickest(gathers(large));
  const double received = static_cast<double>(large) * (group->size() - 1) / group->size();
  return {{"transport", transport_name(link.transport)},
          {"ranks", link.ranks},
          {"latency_us", latency * 1e6},
          {"gigabytes_per_second", received / seconds / 1e9}};
}

/// Between the ranks of each replica over its transport, and between all of them over MPI, which carries the rest.
std::vector<Link> links(const Placement& placement, const World& world) {
  std::vector<Link> result;
  if (world.size() < 2) return result;
  std::vector<int> everybody(static_cast<size_t>(world.size()));
  std::iota(everybody.begin(), everybody.end(), 0);
  result.push_back({everybody, Transport::mpi});
  for (const Replica& replica : placement.replicas) {
    if (replica.ranks.size() > 1 && replica.transport == Transport::nccl) {
      result.push_back({replica.ranks, replica.transport});
    }
  }
  return result;
}

Json measure_links(const Placement& placement, World& world) {
  Json result = Json::array();
  for (const Link& link : links(placement, world)) {
    const auto mine = std::ranges::find(link.ranks, world.rank());
    const at::Device device = link.transport == Transport::nccl
                                  ? placement.ranks[static_cast<size_t>(world.rank())].device
                                  : at::Device(at::kCPU);
    const std::string words = mine == link.ranks.end() ? "" : measured(link, world, device).dump();
    result.push_back(Json::parse(world.exchange(words)[static_cast<size_t>(link.ranks.front())]));
  }
  return result;
}

}  // namespace

int doctor(const Settings& settings, World& world) {
  const OperationOptions operation = operation_options(settings);
  RankFacts mine;
  together(world, [&] {
    start_logging(operation, world.rank());
    mine = rank_facts(placement_options(settings).device);
  });
  std::vector<RankFacts> facts;
  for (const Hello& hello : introduce(world, {mine, {}})) facts.push_back(hello.facts);
  Json rows = Json::array();
  for (const std::string& text : world.exchange(row(world, mine).dump())) rows.push_back(Json::parse(text));
  if (world.rank() == 0 && !operation.json) {
    for (const Json& rank : rows) std::cout << as_text(rank);
    std::cout << std::flush;
  }
  Placement placement;
  together(world, [&] { placement = place(placement_options(settings), 0, facts, Demand{}); });
  const Json carried = measure_links(placement, world);
  if (world.rank() != 0) return 0;
  if (operation.json) {
    std::cout << Json{{"ranks", rows}, {"links", carried}}.dump(2) << std::endl;
    return 0;
  }
  for (const Json& link : carried) {
    std::cout << fmt::format("{} between ranks {}: all_gather {:.0f} us at 4 KiB, {:.2f} GB/s received at 32 MiB\n",
                             link["transport"].get<std::string>(), link["ranks"].dump(),
                             link["latency_us"].get<double>(), link["gigabytes_per_second"].get<double>());
  }
  if (carried.empty()) std::cout << "one rank: no links to measure\n";
  std::cout << std::flush;
  return 0;
}

}  // namespace flux
