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

/// Joins the world of the launcher (a world of one without) and runs `body` on every rank with the settings of rank 0;
/// if those are wrong, rank 0 says so and every rank returns 2.
int on_ranks(Start start, Departure& departure, const std::function<int(Settings, World&)>& body);

/// What is wrong with what the user wants, empty when `step` can do it.
std::string problem_of(const std::function<void()>& step);

/// Collective. Whether every rank is fine; if not, rank 0 says what is wrong with the first that is not.
bool all_fine(World& world, const std::string& error);

}  // namespace flux
