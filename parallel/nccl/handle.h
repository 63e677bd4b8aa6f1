#pragma once

#include <nccl.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>

#include "parallel/host_group.h"
#include "parallel/world.h"

namespace flux {

/// An NCCL communicator in non-blocking mode: whatever it waits for, it can be told to stop. Calls may come from
/// several threads.
class NcclHandle {
 public:
  /// Collective over the ranks of `host`. Throws TimedOut after the startup deadline, Aborted when NCCL fails.
  NcclHandle(HostGroup& host, const ncclUniqueId& id, at::Device device, Deadlines deadlines);
  ~NcclHandle();
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;

  /// Queues what `call` asks of NCCL, and returns when it is queued. On an error the whole group is aborted.
  void queue(const std::string& name, const std::function<ncclResult_t(ncclComm_t)>& call);

  /// What went wrong behind the back of the host; empty if nothing did.
  std::string asynchronous_error();

  /// Ends what is queued on the card.
  void abort() noexcept;

 private:
  void settle(const std::string& name, ncclResult_t result, std::chrono::milliseconds deadline);
  ncclResult_t state();

  HostGroup& host_;
  std::chrono::milliseconds deadline_;  // of taking in one call
  std::mutex mutex_;
  ncclComm_t comm_ = nullptr;
  bool aborted_ = false;
};

}  // namespace flux
