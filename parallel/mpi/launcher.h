#pragma once

#include <functional>
#include <optional>
#include <string>

namespace flux {

/// The variables of a process, by name.
using Environment = std::function<std::optional<std::string>(const char* variable)>;

/// This process's.
std::optional<std::string> own_environment(const char* variable);

/// Which rank a launcher made of the process.
std::optional<int> rank_in(const Environment& environment);

}  // namespace flux
