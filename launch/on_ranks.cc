#include "launch/on_ranks.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "launch/say.h"
#include "parallel/rank/errors.h"
#include "runtime/options/convert.h"
#include "runtime/roll_call.h"

namespace flux {
namespace {

constexpr int kInvalid = 2;

std::unique_ptr<World> join(const Start& start, Departure& departure) {
  const Deadlines patience = start.error.empty() ? deadlines(start.settings) : Deadlines{};
  if (launched_ranks() > 1) return mpi_world(patience, departure);
  return lone_world(patience, departure);
}

/// Rank 0's settings count, and so do its mistakes.
Settings agreed(Start start, World& world) {
  together(world, [&] {
    if (world.rank() == 0 && !start.error.empty()) throw Invalid(start.error);
  });
  const std::string of_rank_0 = world.exchange(world.rank() == 0 ? start.settings.serialized() : "").front();
  return world.rank() == 0 ? std::move(start.settings) : Settings::deserialized(of_rank_0);
}

}  // namespace

int on_ranks(Start start, Departure& departure, const std::function<int(Settings, World&)>& body) {
  const auto world = join(start, departure);
  int code = 0;
  try {
    code = body(agreed(std::move(start), *world), *world);
  } catch (const Invalid& error) {  // on every rank
    if (world->rank() == 0) say_error(error.what());
    code = kInvalid;
  } catch (const std::exception& error) {
    world->abort(error.what());  // which says it once for all ranks, unless the job has ended already
    return kFailed;
  }
  try {
    world->leave();
    return code;
  } catch (const Aborted&) {  // the job has ended already
    return std::max(code, kFailed);
  }
}

}  // namespace flux
