#pragma once

#include <nccl.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "parallel/host_group.h"
#include "parallel/nccl/introduction.h"
#include "parallel/world.h"

namespace flux {

/// An NCCL communicator in blocking mode: in the other, NCCL starts a thread for every call. What a call waits for (on
/// the first one, connecting the ranks), abort() from another thread ends. Calls come from one thread at a time.
class NcclHandle {
 public:
  /// Collective over the ranks of `host`, which outlives every call but unless_aborted(). Throws TimedOut after the
  /// startup deadline, Aborted when NCCL fails.
  NcclHandle(HostGroup& host, const Introduction& group, at::Device device, Deadlines deadlines);
  ~NcclHandle();
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;

  /// Queues what `call` asks of NCCL, and returns when it is queued. On an error the whole group is aborted.
  void queue(const std::string& name, const std::function<ncclResult_t(ncclComm_t)>& call);

  /// Gives something back that the communicator knows of, which is gone already when it was aborted.
  void unless_aborted(const std::function<void(ncclComm_t)>& give_back);

  /// What went wrong behind the back of the host, or that a call is not taken in within its deadline; empty if all is
  /// well.
  std::string fault();

  /// Ends what is queued on the card.
  void abort() noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  void start(const Introduction& group, at::Device device, std::chrono::milliseconds deadline);
  void check(const std::string& name, ncclResult_t result);

  HostGroup& host_;
  std::chrono::milliseconds deadline_;  // of taking in one call
  std::mutex mutex_;
  std::condition_variable returned_;
  std::optional<Clock::time_point> called_;  // under the mutex: the call that has not returned
  bool aborted_ = false;                     // under the mutex
  ncclComm_t comm_ = nullptr;
};

}  // namespace flux
