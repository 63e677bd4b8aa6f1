#pragma once

#include <functional>
#include <string>

#include "parallel/rank/departure.h"
#include "parallel/world.h"
#include "runtime/options/settings.h"

namespace flux {

/// What this process made of its arguments, environment and --config.
struct Start {
  Settings settings;
  std::string error;  // not empty: what is wrong with them
};

/// Joins the world of the launcher (a world of one without) and runs `body` on every rank with the settings of rank 0.
/// Returns the exit code: 2, said once, for what is Invalid on every rank; 3 where the job ended early.
int on_ranks(Start start, Departure& departure, const std::function<int(Settings, World&)>& body);

}  // namespace flux
