#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/options/settings.h"

namespace flux {

/// One start of the program: flags, environment and --config put together.
struct Invocation {
  std::string verb;
  Settings settings;
  bool print_config = false;
  std::string answer;  // not empty: what --help or --version prints, and then nothing is to be done
};

using Environment = std::map<std::string, std::string>;

/// The variables whose names begin with FLUX_DIST_.
Environment environment_of(char** environment);

/// `arguments` without the program's name. Throws Invalid that names the flag, variable, or file and line.
Invocation read_invocation(const std::vector<std::string>& arguments, const Environment& environment);

}  // namespace flux
