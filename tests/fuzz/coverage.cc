#include "tests/fuzz/coverage.h"

#include <cstdint>

namespace flux::fuzz {
namespace {

constexpr size_t places = 1 << 16;

// Plain memory: what the compiler calls everywhere may itself call nothing. An edge is a block and the one before it.
bool reached[places];
size_t fresh = 0;
uintptr_t last_block = 0;

}  // namespace

void forget_coverage() {
  fresh = 0;
  last_block = 0;
}

size_t newly_covered() { return fresh; }

}  // namespace flux::fuzz

extern "C" void __sanitizer_cov_trace_pc() {  // NOLINT(bugprone-reserved-identifier)
  using namespace flux::fuzz;
  const auto block = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  bool& known = reached[(block ^ (last_block << 1)) % places];
  fresh += !known;
  known = true;
  last_block = block;
}
