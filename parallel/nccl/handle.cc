#include "parallel/nccl/handle.h"

#include <c10/cuda/CUDAGuard.h>
#include <fmt/format.h>

#include <thread>

#include "parallel/group.h"
#include "parallel/rank/errors.h"

namespace flux {

using Clock = std::chrono::steady_clock;

NcclHandle::NcclHandle(HostGroup& host, const ncclUniqueId& id, at::Device device, Deadlines deadlines)
    : host_(host), deadline_(deadlines.collective) {
  const c10::cuda::CUDAGuard guard(device);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const ncclResult_t result = ncclCommInitRankConfig(&comm_, host.size(), id, host.rank(), &config);
  try {
    settle("group", result, deadlines.startup);
  } catch (...) {
    abort();
    throw;
  }
}

NcclHandle::~NcclHandle() {
  const std::lock_guard lock(mutex_);
  if (aborted_ || comm_ == nullptr) return;
  // Finalising is collective: a rank that does not come is not waited for long.
  const Clock::time_point end = Clock::now() + std::chrono::seconds(5);
  ncclResult_t result = ncclCommFinalize(comm_);
  while (result == ncclInProgress && Clock::now() < end) {
    std::this_thread::yield();
    if (ncclCommGetAsyncError(comm_, &result) != ncclSuccess) break;
  }
  if (result == ncclSuccess)
    ncclCommDestroy(comm_);
  else
    ncclCommAbort(comm_);
}

void NcclHandle::queue(const std::string& name, const std::function<ncclResult_t(ncclComm_t)>& call) {
  ncclResult_t result = ncclSuccess;
  {
    const std::lock_guard lock(mutex_);
    if (!aborted_) result = call(comm_);
  }
  settle(name, result, deadline_);
}

/// Waits until NCCL has taken the call in, which on the first one includes connecting the ranks.
void NcclHandle::settle(const std::string& name, ncclResult_t result, std::chrono::milliseconds deadline) {
  const Clock::time_point end = Clock::now() + deadline;
  if (result == ncclSuccess) result = state();
  while (result == ncclInProgress) {
    if (const auto why = host_.aborted()) throw Aborted(fmt::format("{}: {}", name, *why));
    if (Clock::now() > end && !host_.was_stopped()) {
      const std::string why = fmt::format("NCCL did not connect the ranks within {}", seconds(deadline));
      host_.abort(why);
      throw TimedOut(fmt::format("{}: {}", name, why));
    }
    std::this_thread::yield();
    result = state();
  }
  if (result == ncclSuccess) return;
  const std::string why = fmt::format("NCCL: {} ({})", ncclGetErrorString(result), ncclGetLastError(nullptr));
  host_.abort(why);
  throw Aborted(fmt::format("{}: {}", name, host_.aborted().value_or(why)));
}

ncclResult_t NcclHandle::state() {
  const std::lock_guard lock(mutex_);
  if (aborted_) return ncclRemoteError;
  ncclResult_t now = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(comm_, &now);
  return asked == ncclSuccess ? now : asked;
}

std::string NcclHandle::asynchronous_error() {
  const ncclResult_t now = state();
  return now == ncclSuccess || now == ncclInProgress ? "" : fmt::format("NCCL: {}", ncclGetErrorString(now));
}

void NcclHandle::abort() noexcept {
  const std::lock_guard lock(mutex_);
  if (!aborted_ && comm_ != nullptr) ncclCommAbort(comm_);
  aborted_ = true;
}

}  // namespace flux
