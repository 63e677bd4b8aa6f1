#include "parallel/nccl/group.h"

#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string_view>
#include <thread>

#include "parallel/group.h"
#include "parallel/nccl/handle.h"
#include "parallel/nccl/memory.h"
#include "parallel/rank/device.h"
#include "parallel/rank/errors.h"
#include "parallel/rank/thread_name.h"

namespace flux {
namespace {

using c10::cuda::CUDAStream;

/// Bytes from which copy engines gather sooner than kernels do: an engine takes 30 us longer to begin.
constexpr int64_t kWorthAnEngine = 4 << 20;

/// Asked for where cards reach each other and it goes wrong. NCCL itself does not heed it for memory that is
/// registered.
bool peer_access_is_off() {
  const char* off = std::getenv("NCCL_P2P_DISABLE");
  return off != nullptr && !std::string_view(off).empty() && std::string_view(off) != "0";
}

ncclDataType_t type_of(const at::Tensor& value) {
  static const std::map<at::ScalarType, ncclDataType_t> types = {
      {at::kChar, ncclInt8},    {at::kByte, ncclUint8},    {at::kInt, ncclInt32},      {at::kLong, ncclInt64},
      {at::kHalf, ncclFloat16}, {at::kFloat, ncclFloat32}, {at::kDouble, ncclFloat64}, {at::kBFloat16, ncclBfloat16}};
  const auto type = types.find(value.scalar_type());
  if (type == types.end())
    throw std::invalid_argument(fmt::format("reduce: NCCL does not reduce {}", c10::toString(value.scalar_type())));
  return type->second;
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
  NcclCommunicator(std::unique_ptr<HostGroup> host, const ncclUniqueId& id, at::Device device, Deadlines deadlines)
      : host_(std::move(host)),
        device_(device),
        stream_(c10::cuda::getStreamFromPool(true, device.index())),
        nccl_(std::make_shared<NcclHandle>(*host_, id, device, deadlines)),
        monitor_([this] { watch(); }) {}

  ~NcclCommunicator() override {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      changed_.notify_all();
    }
    monitor_.join();
  }

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  at::Tensor buffer(at::IntArrayRef sizes, at::TensorOptions options) override {
    const auto bytes = c10::multiply_integers(sizes) * static_cast<int64_t>(options.dtype().itemsize());
    if (bytes < kWorthAnEngine || peer_access_is_off()) return at::empty(sizes, options);
    return nccl_memory(nccl_, sizes, options);
  }
  Pending all_gather(const at::Tensor& all, at::IntArrayRef rows) override;
  Pending broadcast(const at::Tensor& value, int root) override;
  Pending reduce(const at::Tensor& value) override;
  bool capturable() const override { return true; }
  void abort(std::string_view why) noexcept override { host_->abort(why); }

 private:
  using Call = std::function<ncclResult_t(ncclComm_t, cudaStream_t)>;

  Pending queue(const std::string& name, const at::Tensor& tensor, const Call& call);
  void go_on(const std::string& name) const;
  void watch();

  std::unique_ptr<HostGroup> host_;
  at::Device device_;
  CUDAStream stream_;
  std::shared_ptr<NcclHandle> nccl_;  // and its memory's
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closing_ = false;
  std::thread monitor_;
};

/// Throws when the group was aborted.
void NcclCommunicator::go_on(const std::string& name) const {
  if (const auto why = host_->aborted()) throw Aborted(fmt::format("{}: {}", name, *why));
}

Pending NcclCommunicator::queue(const std::string& name, const at::Tensor& tensor, const Call& call) {
  if (tensor.device() != device_)
    throw std::invalid_argument(
        fmt::format("{}: a tensor on {} in a group on {}", name, tensor.device().str(), device_.str()));
  go_on(name);
  const c10::cuda::CUDAGuard guard(device_);
  at::cuda::CUDAEvent ready;
  ready.record(c10::cuda::getCurrentCUDAStream(device_.index()));
  ready.block(stream_);
  nccl_->queue(name, [&](ncclComm_t comm) { return call(comm, stream_.stream()); });
  const auto moved = std::make_shared<at::cuda::CUDAEvent>();
  moved->record(stream_);
  return Pending([this, name, moved] {
    go_on(name);
    moved->block(c10::cuda::getCurrentCUDAStream(device_.index()));
  });
}

Pending NcclCommunicator::all_gather(const at::Tensor& all, at::IntArrayRef rows) {
  const std::vector<ByteRange> ranges = gathered_ranges(all, rows, size());
  const bool even = std::all_of(ranges.begin(), ranges.end(), [&](ByteRange r) { return r.size == ranges[0].size; });
  auto* data = static_cast<char*>(all.data_ptr());
  return queue("all_gather", all, [=, this](ncclComm_t comm, cudaStream_t stream) {
    const ByteRange mine = ranges[rank()];
    if (even) return ncclAllGather(data + mine.offset, data, mine.size, ncclInt8, comm, stream);
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

Pending NcclCommunicator::broadcast(const at::Tensor& value, int root) {
  check_broadcast(value, root, size());
  return queue("broadcast", value, [&](ncclComm_t comm, cudaStream_t stream) {
    return ncclBroadcast(value.data_ptr(), value.data_ptr(), value.nbytes(), ncclInt8, root, comm, stream);
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

/// Passes an error of the card or another rank on to everybody, and stops the card when the group is aborted: a
/// kernel that waits for a rank that is gone would never end.
void NcclCommunicator::watch() {
  name_this_thread("nccl watch");
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, std::chrono::milliseconds(50), [&] { return closing_; })) {
    if (const std::string fault = nccl_->fault(); !fault.empty()) host_->abort(fault);
    if (!host_->aborted()) continue;
    nccl_->abort();
    return;
  }
}

struct Member {
  std::string card;  // "host UUID"; empty without a card
  std::string id;    // of the NCCL group, from its first rank
};

/// Everybody's card, checked; returns the group's id. Every rank finds the same fault.
ncclUniqueId introduce(HostGroup& host, const std::string& card) {
  ncclUniqueId id{};
  if (const ncclResult_t result = host.rank() == 0 ? ncclGetUniqueId(&id) : ncclSuccess; result != ncclSuccess) {
    const std::string why = fmt::format("NCCL: {} ({})", ncclGetErrorString(result), ncclGetLastError(nullptr));
    host.abort(why);  // which the others wait for
    throw Aborted("group: " + why);
  }
  const std::string raw(id.internal, sizeof(id.internal));
  const std::vector<std::string> members = host.exchange(raw + card);
  std::map<std::string, int> rank_on;
  for (int position = 0; position < host.size(); ++position) {
    const int rank = host.members()[position];
    const std::string theirs = members[position].substr(raw.size());
    if (theirs.empty()) throw Invalid(fmt::format("--transport nccl: rank {} has no card; use --transport mpi", rank));
    const auto [other, alone] = rank_on.emplace(theirs, rank);
    if (!alone)
      throw Invalid(
          fmt::format("--transport nccl: ranks {} and {} share the card {}, which NCCL cannot; use --transport "
                      "mpi, or fewer ranks",
                      other->second, rank, theirs));
  }
  std::memcpy(id.internal, members[0].data(), sizeof(id.internal));
  return id;
}

}  // namespace

std::unique_ptr<Communicator> nccl_group(std::unique_ptr<HostGroup> host, at::Device device, Deadlines deadlines) {
  std::string card;
  if (device.is_cuda())
    for (const Card& visible : visible_cards())
      if (visible.index == device.index()) card = host_name() + " " + visible.uuid;
  const ncclUniqueId id = introduce(*host, card);
  return std::make_unique<NcclCommunicator>(std::move(host), id, device, deadlines);
}

}  // namespace flux
