#include "parallel/nccl/group.h"

#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <optional>
#include <ranges>
#include <thread>

#include "parallel/group.h"
#include "parallel/nccl/handle.h"
#include "parallel/nccl/host_staging.h"
#include "parallel/nccl/introduction.h"
#include "parallel/nccl/memory.h"
#include "parallel/rank/errors.h"
#include "parallel/rank/thread_name.h"

namespace flux {
namespace {

using c10::cuda::CUDAStream;

/// Bytes from which copy engines gather between cards that reach each other. From 4 MiB on they are sooner than
/// kernels; below, no later than 10 us, and the first of NCCL's kernels takes 0.4 GiB of a card for good: the stacks,
/// of 2 KB, of all threads that could run at a time.
constexpr int64_t kWorthAnEngine = 64 << 10;

/// Bytes of a broadcast that travel at a time.
constexpr size_t kPiece = 4 << 20;

ncclDataType_t type_of(const at::Tensor& value) {
  static const std::map<at::ScalarType, ncclDataType_t> types = {
      {at::kChar, ncclInt8},    {at::kByte, ncclUint8},    {at::kInt, ncclInt32},      {at::kLong, ncclInt64},
      {at::kHalf, ncclFloat16}, {at::kFloat, ncclFloat32}, {at::kDouble, ncclFloat64}, {at::kBFloat16, ncclBfloat16}};
  const auto type = types.find(value.scalar_type());
  if (type == types.end())
    throw std::invalid_argument(fmt::format("reduce: NCCL does not reduce {}", c10::toString(value.scalar_type())));
  return type->second;
}

bool even(const std::vector<ByteRange>& ranges) {
  return std::ranges::all_of(ranges, [&](const ByteRange& range) { return range.size == ranges.front().size; });
}

/// Of several calls, the result that counts.
class FirstError {
 public:
  void note(ncclResult_t result) {
    if (result_ == ncclSuccess || result_ == ncclInProgress) result_ = result;
  }
  ncclResult_t result() const { return result_; }

 private:
  ncclResult_t result_ = ncclSuccess;
};

/// Collectives on a stream of their own, ordered with ATen's current stream by events.
class NcclCommunicator : public Communicator {
 public:
  NcclCommunicator(std::unique_ptr<HostGroup> host, const Introduction& group, at::Device device, Deadlines deadlines)
      : host_(std::move(host)),
        device_(device),
        way_(group.way),
        stream_(c10::cuda::getStreamFromPool(true, device.index())),
        nccl_(std::make_shared<NcclHandle>(*host_, group, device, deadlines)),
        staged_(host_staging()),
        monitor_(start_thread("nccl watch", [this] { watch(); })) {}

  /// Collective, once, and before anything else.
  void make_room();

  ~NcclCommunicator() override {
    pieces_.reset();  // while somebody watches, for it may wait for the card
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      changed_.notify_all();
    }
    monitor_.join();
  }

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  at::Tensor buffer(at::IntArrayRef sizes, at::TensorOptions options) override;
  Pending all_gather(const at::Tensor& all, at::IntArrayRef rows) override;
  Pending all_to_all(const at::Tensor& received, at::IntArrayRef received_rows, const at::Tensor& sent,
                     at::IntArrayRef sent_rows) override;
  Pending broadcast(const at::Tensor& value, int root) override;
  Pending reduce(const at::Tensor& value) override;
  std::string carrier(const at::Tensor& all, at::IntArrayRef rows) const override;
  bool capturable() const override { return true; }
  void abort(std::string_view why) noexcept override { host_->abort(why); }

 private:
  using Call = std::function<ncclResult_t(ncclComm_t, cudaStream_t)>;

  Pending queue(const std::string& name, const at::Tensor& tensor, const Call& call);
  Pending broadcast_in_pieces(const at::Tensor& value, int root);
  Pending pending(const std::string& name, std::shared_ptr<at::cuda::CUDAEvent> moved);
  void go_on(const std::string& name, const at::Tensor& tensor) const;
  void throw_if_aborted(const std::string& name) const;
  std::optional<HostStaging> host_staging() const;
  void watch();

  std::unique_ptr<HostGroup> host_;
  at::Device device_;
  Way way_;
  CUDAStream stream_;
  std::shared_ptr<NcclHandle> nccl_;  // and its memory's
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closing_ = false;
  std::optional<HostStaging> staged_;
  at::Tensor pieces_;  // by rank, in memory that copy engines reach
  std::thread monitor_;
};

void NcclCommunicator::throw_if_aborted(const std::string& name) const {
  if (const auto why = host_->aborted()) throw Aborted(fmt::format("{}: {}", name, *why));
}

/// Throws when the group was aborted, or cannot move the tensor.
void NcclCommunicator::go_on(const std::string& name, const at::Tensor& tensor) const {
  if (tensor.device() != device_)
    throw std::invalid_argument(
        fmt::format("{}: a tensor on {} in a group on {}", name, tensor.device().str(), device_.str()));
  throw_if_aborted(name);
}

/// Collective.
std::optional<HostStaging> NcclCommunicator::host_staging() const {
  if (way_ != Way::the_host) return std::nullopt;
  const c10::cuda::CUDAGuard guard(device_);
  HostMemory shared = shared_host_memory(*host_, HostStaging::host_bytes(host_->size()));
  if (shared.data) return HostStaging(std::move(shared.data), device_, host_->rank(), host_->size());
  if (host_->rank() == 0)
    spdlog::warn("keys and values go between cards by kernels, which takes longer than by copy engines: {}",
                 shared.refused);
  return std::nullopt;
}

void NcclCommunicator::make_room() {
  if (way_ == Way::peers)
    pieces_ = buffer({size(), static_cast<int64_t>(kPiece)}, at::dtype(at::kByte).device(device_));
}

Pending NcclCommunicator::queue(const std::string& name, const at::Tensor& tensor, const Call& call) {
  go_on(name, tensor);
  const c10::cuda::CUDAGuard guard(device_);
  at::cuda::CUDAEvent ready;
  ready.record(c10::cuda::getCurrentCUDAStream(device_.index()));
  ready.block(stream_);
  nccl_->queue(name, [&](ncclComm_t comm) { return call(comm, stream_.stream()); });
  auto moved = std::make_shared<at::cuda::CUDAEvent>();
  moved->record(stream_);
  return pending(name, std::move(moved));
}

Pending NcclCommunicator::pending(const std::string& name, std::shared_ptr<at::cuda::CUDAEvent> moved) {
  return Pending([this, name, moved = std::move(moved)] {
    throw_if_aborted(name);
    moved->block(c10::cuda::getCurrentCUDAStream(device_.index()));
  });
}

at::Tensor NcclCommunicator::buffer(at::IntArrayRef sizes, at::TensorOptions options) {
  const auto bytes = c10::multiply_integers(sizes) * static_cast<int64_t>(options.dtype().itemsize());
  if (way_ == Way::peers && options.device().is_cuda() && bytes >= kWorthAnEngine)
    return nccl_memory(nccl_, sizes, options);
  return at::empty(sizes, options);
}

std::string NcclCommunicator::carrier(const at::Tensor& all, at::IntArrayRef rows) const {
  if (staged_) return "copy engines, through the host";
  const bool registered = way_ == Way::peers && static_cast<int64_t>(all.nbytes()) >= kWorthAnEngine &&
                          even(gathered_ranges(all, rows, size()));
  return registered ? "copy engines, card to card" : "NCCL's kernels";
}

Pending NcclCommunicator::all_gather(const at::Tensor& all, at::IntArrayRef rows) {
  const std::vector<ByteRange> ranges = gathered_ranges(all, rows, size());
  if (staged_) {
    go_on("all_gather", all);
    return pending("all_gather", staged_->all_gather(all, ranges));
  }
  auto* data = static_cast<char*>(all.data_ptr());
  return queue("all_gather", all, [=, this](ncclComm_t comm, cudaStream_t stream) {
    const ByteRange mine = ranges[rank()];
    if (even(ranges)) return ncclAllGather(data + mine.offset, data, mine.size, ncclInt8, comm, stream);
    FirstError error;
    error.note(ncclGroupStart());
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank()) continue;
      if (mine.size > 0) error.note(ncclSend(data + mine.offset, mine.size, ncclInt8, peer, comm, stream));
      const ByteRange theirs = ranges[peer];
      if (theirs.size > 0) error.note(ncclRecv(data + theirs.offset, theirs.size, ncclInt8, peer, comm, stream));
    }
    error.note(ncclGroupEnd());
    return error.result();
  });
}

Pending NcclCommunicator::all_to_all(const at::Tensor& received, at::IntArrayRef received_rows, const at::Tensor& sent,
                                     at::IntArrayRef sent_rows) {
  const AllToAllRanges ranges = all_to_all_ranges(received, received_rows, sent, sent_rows, *this);
  if (staged_) {
    go_on("all_to_all", sent);
    return pending("all_to_all", staged_->all_to_all(received, sent, ranges));
  }
  const auto* from = static_cast<const char*>(sent.data_ptr());
  auto* to = static_cast<char*>(received.data_ptr());
  return queue("all_to_all", sent, [=, this](ncclComm_t comm, cudaStream_t stream) {
    if (even(ranges.sent) && even(ranges.received))  // by copy engines, where both are of buffer()
      return ncclAlltoAll(from, to, ranges.sent.front().size, ncclInt8, comm, stream);
    FirstError error;
    error.note(ncclGroupStart());
    for (size_t peer = 0; peer < ranges.sent.size(); ++peer) {
      const ByteRange out = ranges.sent[peer], in = ranges.received[peer];
      const int rank = static_cast<int>(peer);
      if (out.size > 0) error.note(ncclSend(from + out.offset, out.size, ncclInt8, rank, comm, stream));
      if (in.size > 0) error.note(ncclRecv(to + in.offset, in.size, ncclInt8, rank, comm, stream));
    }
    error.note(ncclGroupEnd());
    return error.result();
  });
}

Pending NcclCommunicator::broadcast(const at::Tensor& value, int root) {
  check_broadcast(value, root, size());
  if (staged_) {
    go_on("broadcast", value);
    std::vector<ByteRange> ranges(static_cast<size_t>(size()), {0, 0});
    ranges[static_cast<size_t>(root)].size = value.nbytes();
    return pending("broadcast", staged_->all_gather(value, ranges));
  }
  if (way_ == Way::peers) return broadcast_in_pieces(value, root);
  return queue("broadcast", value, [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclBroadcast(value.data_ptr(), value.data_ptr(), value.nbytes(), ncclInt8, root, comm, stream);
  });
}

/// By copy engines, which NCCL has for even gathers of registered memory alone: a piece of every rank's travels, and
/// the root's is taken.
Pending NcclCommunicator::broadcast_in_pieces(const at::Tensor& value, int root) {
  return queue("broadcast", value, [&](ncclComm_t comm, cudaStream_t stream) {
    FirstError error;
    const auto copy = [&](char* to, const char* from, size_t bytes) {
      const cudaError_t copied = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
      error.note(copied == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError);
    };
    auto* const data = static_cast<char*>(value.data_ptr());
    auto* const pieces = static_cast<char*>(pieces_.data_ptr());
    for (size_t done = 0; done < value.nbytes() && error.result() == ncclSuccess; done += kPiece) {
      const size_t bytes = std::min(kPiece, value.nbytes() - done);
      char* const travels = pieces + static_cast<size_t>(root) * bytes;
      if (rank() == root) copy(travels, data + done, bytes);
      error.note(ncclAllGather(pieces + static_cast<size_t>(rank()) * bytes, pieces, bytes, ncclInt8, comm, stream));
      if (rank() != root) copy(data + done, travels, bytes);
    }
    return error.result();
  });
}

Pending NcclCommunicator::reduce(const at::Tensor& value) {
  check_reduce(value);
  const ncclDataType_t type = type_of(value);
  return queue("reduce", value, [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclAllReduce(value.data_ptr(), value.data_ptr(), static_cast<size_t>(value.numel()), type, ncclMax, comm,
                         stream);
  });
}

/// Passes an error of the card or another rank on to everybody, and stops the card when the group is aborted: what
/// waits there for a rank that is gone would never end. NCCL's own end may wait for the card.
void NcclCommunicator::watch() {
  std::thread ending;
  std::unique_lock lock(mutex_);
  std::chrono::milliseconds patience(50);
  while (!changed_.wait_for(lock, patience, [&] { return closing_ && (!staged_ || staged_->idle()); })) {
    const std::string fault = ending.joinable() ? "" : nccl_->fault();
    if (!fault.empty()) host_->abort(fault);
    if (!host_->aborted()) continue;
    if (!ending.joinable()) ending = start_thread("nccl abort", [this] { nccl_->abort(); });
    if (staged_) staged_->let_pass();
    patience = std::chrono::milliseconds(1);  // a step has a gather after the other
  }
  if (ending.joinable()) ending.join();
}

}  // namespace

std::unique_ptr<Communicator> nccl_group(std::unique_ptr<HostGroup> host, at::Device device, Deadlines deadlines) {
  const Introduction group = introduce(*host, device);
  auto communicator = std::make_unique<NcclCommunicator>(std::move(host), group, device, deadlines);
  communicator->make_room();  // watched already, for it may hang
  return communicator;
}

}  // namespace flux
