#pragma once

#include <string>

namespace flux {

/// How a process of one rank ends when something goes wrong: the tests start this program with a name of it. Returns
/// the exit code.
int run_lone(const std::string& name);

}  // namespace flux
