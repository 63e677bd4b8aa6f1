#pragma once

#include "parallel/rank/departure.h"
#include "parallel/world.h"
#include "runtime/options/settings.h"

namespace flux {

// One file per verb, and of bench per measure (bench_found.h has those that are a table). Each returns the exit code
// and prints its results on standard output; Invalid and Aborted are left to main. Those that take a World are called
// by every rank with the settings of rank 0.

int generate(Settings settings, World& world, Departure& departure);
int plan(Settings settings);
int inspect(const Settings& settings);
int quantize(const Settings& settings);
int tokenize(const Settings& settings);
int doctor(const Settings& settings, World& world);
int bench(Settings settings, World& world, Departure& departure);
int bench_throughput(Settings settings, World& world, Departure& departure);
int bench_compare(const Settings& settings);

}  // namespace flux
