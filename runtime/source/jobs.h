#pragma once

#include <vector>

#include "runtime/options.h"
#include "runtime/source/model_defaults.h"
#include "runtime/source/source.h"

namespace flux {

/// Every picture of the run as a job of its own.
std::vector<Job> read_jobs(const Settings& settings, const ModelFolder& model, std::istream& standard_input,
                           const Warn& warn);

}  // namespace flux
