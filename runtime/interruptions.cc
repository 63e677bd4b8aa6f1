#include "runtime/interruptions.h"

#include <string_view>

#include "built_with.h"
#include "runtime/device_memory.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif

namespace flux {
namespace {

#if FLUX_CUDA
void warn_of_waits(bool yes) {
  using Mode = c10::cuda::SyncDebugMode;
  c10::cuda::warning_state().set_sync_debug_mode(yes ? Mode::L_WARN : Mode::L_DISABLED);
}
#else
void warn_of_waits(bool) {}
#endif

}  // namespace

Interruptions::Interruptions(at::Device card)
    : card_(card), allocations_at_first_(DeviceMemory::taken_from_driver(card)) {
  warn_of_waits(true);
}

Interruptions::~Interruptions() { warn_of_waits(false); }

int64_t Interruptions::allocations() const { return DeviceMemory::taken_from_driver(card_) - allocations_at_first_; }

void Interruptions::Handler::process(const c10::Warning& warning) {
  if (std::string_view(warning.msg()).find("synchronizing CUDA operation") == std::string_view::npos)
    return c10::WarningHandler::process(warning);
  ++waits;
}

}  // namespace flux
