#pragma once

#include <string>

namespace flux {

/// What one rank does when something goes wrong: the tests start this program with a fault's name and look at what
/// the job prints and how it ends. Returns the exit code.
int run_fault(const std::string& name);

}  // namespace flux
