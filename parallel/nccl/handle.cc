#include "parallel/nccl/handle.h"

#include <c10/cuda/CUDAGuard.h>
#include <fmt/format.h>

#include <future>
#include <memory>
#include <utility>

#include "parallel/group.h"
#include "parallel/rank/errors.h"
#include "parallel/rank/thread_name.h"

namespace flux {

using namespace std::chrono_literals;

namespace {

/// Blocks that a kernel of NCCL may take where copy engines move nearly everything: each has buffers, 0.5 GiB of a card
/// for as many as NCCL would have. Uneven gathers between cards that reach each other are its kernels' all the same.
constexpr int kBlocks = 8;

}  // namespace

NcclHandle::NcclHandle(HostGroup& host, const Introduction& group, at::Device device, Deadlines deadlines)
    : host_(host), deadline_(deadlines.collective) {
  start(group, device, deadlines.startup);
}

/// On a thread that owns what it uses, for it can hang: whoever waits goes on when the job is aborted, and the process
/// ends without it.
void NcclHandle::start(const Introduction& group, at::Device device, std::chrono::milliseconds deadline) {
  using Started = std::pair<ncclResult_t, ncclComm_t>;
  const auto connect =
      std::make_shared<std::packaged_task<Started()>>([group, device, rank = host_.rank(), size = host_.size()] {
        const c10::cuda::CUDAGuard guard(device);
        ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
        config.blocking = 1;
        config.CTAPolicy = NCCL_CTA_POLICY_ZERO;  // gathers by copy engines, where memory is registered
        if (group.way != Way::kernels) config.maxCTAs = kBlocks;
        ncclComm_t comm = nullptr;
        const ncclResult_t result = ncclCommInitRankConfig(&comm, size, group.id, rank, &config);
        return Started(result, comm);
      });
  std::future<Started> started = connect->get_future();
  start_thread("nccl start", [connect] { (*connect)(); }).detach();
  const Clock::time_point end = Clock::now() + deadline;
  while (started.wait_for(1ms) != std::future_status::ready) {
    if (const auto why = host_.aborted()) throw Aborted("group: " + *why);
    if (Clock::now() < end || host_.was_stopped()) continue;
    const std::string why = fmt::format("NCCL did not connect the ranks within {}", seconds(deadline));
    host_.abort(why);
    throw TimedOut("group: " + why);
  }
  const auto [result, comm] = started.get();
  comm_ = comm;
  check("group", result);
}

NcclHandle::~NcclHandle() {
  const std::lock_guard lock(mutex_);
  if (aborted_ || comm_ == nullptr) return;
  ncclCommDestroy(comm_);
}

void NcclHandle::queue(const std::string& name, const std::function<ncclResult_t(ncclComm_t)>& call) {
  {
    const std::lock_guard lock(mutex_);
    if (aborted_) throw Aborted(fmt::format("{}: {}", name, host_.aborted().value_or("NCCL was stopped")));
    called_ = Clock::now();
  }
  const ncclResult_t result = call(comm_);
  {
    const std::lock_guard lock(mutex_);
    called_.reset();
    returned_.notify_all();
  }
  check(name, result);
}

void NcclHandle::unless_aborted(const std::function<void(ncclComm_t)>& give_back) {
  const std::lock_guard lock(mutex_);
  if (!aborted_) give_back(comm_);
}

void NcclHandle::check(const std::string& name, ncclResult_t result) {
  if (result == ncclSuccess) return;
  const std::string why = fmt::format("NCCL: {} ({})", ncclGetErrorString(result), ncclGetLastError(nullptr));
  host_.abort(why);
  throw Aborted(fmt::format("{}: {}", name, host_.aborted().value_or(why)));
}

std::string NcclHandle::fault() {
  const std::lock_guard lock(mutex_);
  if (aborted_) return "";
  if (called_ && Clock::now() - *called_ > deadline_ && !host_.was_stopped())
    return fmt::format("NCCL did not connect the ranks within {}", seconds(deadline_));
  ncclResult_t now = ncclSuccess;
  if (const ncclResult_t asked = ncclCommGetAsyncError(comm_, &now); asked != ncclSuccess) now = asked;
  return now == ncclSuccess || now == ncclInProgress ? "" : fmt::format("NCCL: {}", ncclGetErrorString(now));
}

/// A call that waits is told to stop first: who frees the communicator must not do so under its feet.
void NcclHandle::abort() noexcept {
  std::unique_lock lock(mutex_);
  if (aborted_) return;
  aborted_ = true;
  if (called_) {
    ncclCommRevoke(comm_, NCCL_REVOKE_DEFAULT);
    if (!returned_.wait_for(lock, 2s, [this] { return !called_; })) return;  // the process ends all the same
  }
  ncclCommAbort(comm_);
}

}  // namespace flux
