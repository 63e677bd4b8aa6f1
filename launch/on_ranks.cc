#include "launch/on_ranks.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "launch/say.h"
#include "parallel/rank/errors.h"
#include "runtime/options/convert.h"

namespace flux {
namespace {

std::unique_ptr<World> join(const Start& start, Departure& departure) {
  const Deadlines patience = start.error.empty() ? deadlines(start.settings) : Deadlines{};
  if (launched_ranks() > 1) return mpi_world(patience, departure);
  return lone_world(patience, departure);
}

int run_body(Start start, World& world, const std::function<int(Settings, World&)>& body) {
  if (world.rank() != 0) start.error.clear();  // rank 0's settings count, and so do its mistakes
  if (!all_fine(world, start.error)) return 2;
  const std::string of_rank_0 = world.exchange(world.rank() == 0 ? start.settings.serialized() : "").front();
  Settings settings = world.rank() == 0 ? std::move(start.settings) : Settings::deserialized(of_rank_0);
  return body(std::move(settings), world);
}

}  // namespace

int on_ranks(Start start, Departure& departure, const std::function<int(Settings, World&)>& body) {
  const auto world = join(start, departure);
  try {
    const int code = run_body(std::move(start), *world, body);
    try {
      world->leave();
    } catch (const Aborted&) {  // the job has ended already
      return code < 2 ? 3 : code;
    }
    return code;
  } catch (const std::exception& error) {
    world->abort(error.what());  // which says it once for all ranks
    return 3;
  }
}

std::string problem_of(const std::function<void()>& step) {
  try {
    step();
    return "";
  } catch (const Invalid& error) {
    return error.what();
  }
}

bool all_fine(World& world, const std::string& error) {
  const std::vector<std::string> errors = world.exchange(error);
  for (size_t rank = 0; rank < errors.size(); ++rank) {
    if (errors[rank].empty()) continue;
    if (world.rank() == 0) say_error(rank == 0 ? errors[rank] : fmt::format("rank {}: {}", rank, errors[rank]));
    return false;
  }
  return true;
}

}  // namespace flux
