#pragma once

#include <cstddef>

// Which code an input ran through: the compiler calls __sanitizer_cov_trace_pc in every basic block of what was
// compiled with -fsanitize-coverage=trace-pc.
namespace flux::fuzz {

/// Counts anew.
void forget_coverage();

/// How many places were reached since then that had never been reached before.
size_t newly_covered();

}  // namespace flux::fuzz
