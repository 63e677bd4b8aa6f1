#include "parallel/nccl/staged_gather.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace flux {
namespace {

constexpr size_t kSlots = 4;  // of a rank: others read one piece while the next is written
constexpr size_t kSlotBytes = 4 << 20;
constexpr size_t kPieceAtLeast = 1 << 20;
constexpr size_t kLine = 64;  // bytes: each flag has a cache line

std::vector<ByteRange> pieces_of(const ByteRange& range) {
  const size_t count = std::clamp<size_t>(range.size / kPieceAtLeast, 1, kSlots);
  const size_t each = std::min((range.size / count + kLine) / kLine * kLine, kSlotBytes);
  std::vector<ByteRange> pieces;
  for (size_t done = 0; done < range.size; done += each)
    pieces.push_back({range.offset + done, std::min(each, range.size - done)});
  return pieces;
}

/// The runtime has no such call, and the driver's library is there only where there is a card.
auto batch_of_memory_operations() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  C10_CUDA_CHECK(cudaGetDriverEntryPointByVersion("cuStreamBatchMemOp", &function, 12'000, cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess) throw std::runtime_error("the driver has no cuStreamBatchMemOp");
  return reinterpret_cast<decltype(&cuStreamBatchMemOp)>(function);
}

/// Flags that a stream waits for, or writes when everything before is done.
class FlagOperations {
 public:
  void wait(volatile uint32_t* flag, uint32_t value) {
    CUstreamBatchMemOpParams& operation = operations_.emplace_back();
    operation.waitValue = {.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32,
                           .address = address(flag),
                           .value = value,
                           .flags = CU_STREAM_WAIT_VALUE_EQ,
                           .alias = 0};
  }

  void write(volatile uint32_t* flag, uint32_t value) {
    CUstreamBatchMemOpParams& operation = operations_.emplace_back();
    operation.writeValue = {.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32,
                            .address = address(flag),
                            .value = value,
                            .flags = CU_STREAM_WRITE_VALUE_DEFAULT,
                            .alias = 0};
  }

  void queue(const c10::cuda::CUDAStream& stream) {
    static const auto batch = batch_of_memory_operations();
    if (operations_.empty()) return;
    const CUresult result =
        batch(stream.stream(), static_cast<unsigned>(operations_.size()), operations_.data(), /*flags=*/0);
    if (result != CUDA_SUCCESS) throw std::runtime_error("cuStreamBatchMemOp: " + std::to_string(result));
  }

 private:
  static CUdeviceptr address(volatile uint32_t* flag) {
    void* seen_by_card = nullptr;
    C10_CUDA_CHECK(cudaHostGetDevicePointer(&seen_by_card, const_cast<uint32_t*>(flag), 0));
    return reinterpret_cast<CUdeviceptr>(seen_by_card);
  }

  std::vector<CUstreamBatchMemOpParams> operations_;
};

void block(const c10::cuda::CUDAStream& before, const c10::cuda::CUDAStream& after) {
  at::cuda::CUDAEvent done;
  done.record(before);
  done.block(after);
}

}  // namespace

StagedGather::StagedGather(std::shared_ptr<char> host, at::Device device, int rank, int size)
    : host_(std::move(host)),
      device_(device),
      rank_(rank),
      size_(size),
      push_(c10::cuda::getStreamFromPool(true, device.index())),
      pull_(c10::cuda::getStreamFromPool(true, device.index())) {}

size_t StagedGather::staged_bytes(int size) {
  const auto ranks = static_cast<size_t>(size);
  return ranks * kSlots * (kSlotBytes + ranks * kLine);
}

char* StagedGather::slot(int writer, size_t piece) const {
  return host_.get() + (static_cast<size_t>(writer) * kSlots + piece % kSlots) * kSlotBytes;
}

volatile uint32_t* StagedGather::flag(int writer, int reader, size_t piece) const {
  const auto ranks = static_cast<size_t>(size_);
  const size_t index = (static_cast<size_t>(writer) * ranks + static_cast<size_t>(reader)) * kSlots + piece % kSlots;
  return reinterpret_cast<volatile uint32_t*>(host_.get() + ranks * kSlots * kSlotBytes + index * kLine);
}

/// Of a rank's own bytes into the host's memory, as soon as the others have read what was there before; they may read
/// on where this has come to.
void StagedGather::push(size_t piece, const char* from, size_t bytes) {
  FlagOperations before, after;
  for (int reader = 0; reader < size_; ++reader) {
    if (reader == rank_) continue;
    before.wait(flag(rank_, reader, piece), 0);
    after.write(flag(rank_, reader, piece), 1);
  }
  before.queue(push_);
  C10_CUDA_CHECK(cudaMemcpyAsync(slot(rank_, piece), from, bytes, cudaMemcpyDeviceToHost, push_.stream()));
  after.queue(push_);
}

void StagedGather::pull(int writer, size_t piece, char* to, size_t bytes) {
  FlagOperations before, after;
  before.wait(flag(writer, rank_, piece), 1);
  after.write(flag(writer, rank_, piece), 0);
  before.queue(pull_);
  C10_CUDA_CHECK(cudaMemcpyAsync(to, slot(writer, piece), bytes, cudaMemcpyHostToDevice, pull_.stream()));
  after.queue(pull_);
}

std::shared_ptr<at::cuda::CUDAEvent> StagedGather::operator()(const at::Tensor& all,
                                                              const std::vector<ByteRange>& ranges) {
  const c10::cuda::CUDAGuard device(device_);
  auto* card = static_cast<char*>(all.data_ptr());
  const auto current = c10::cuda::getCurrentCUDAStream();
  std::vector<std::vector<ByteRange>> pieces;
  for (const ByteRange& range : ranges) pieces.push_back(pieces_of(range));
  const std::vector<ByteRange>& mine = pieces[static_cast<size_t>(rank_)];
  const size_t most = std::ranges::max(pieces, {}, &std::vector<ByteRange>::size).size();

  block(current, pull_);
  if (!mine.empty()) block(current, push_);
  for (size_t piece = 0; piece < most; ++piece) {
    if (piece < mine.size()) {
      const ByteRange& bytes = mine[piece];
      push(piece, card + bytes.offset, bytes.size);
      // A card may run its streams one after the other: what others wait for comes before what waits for others.
      block(push_, pull_);
    }
    for (int distance = 1; distance < size_; ++distance) {
      const int writer = (rank_ + distance) % size_;
      const std::vector<ByteRange>& theirs = pieces[static_cast<size_t>(writer)];
      if (piece >= theirs.size()) continue;
      const ByteRange& bytes = theirs[piece];
      pull(writer, piece, card + bytes.offset, bytes.size);
    }
  }
  auto moved = std::make_shared<at::cuda::CUDAEvent>();
  moved->record(pull_);
  return moved;
}

void StagedGather::let_pass() noexcept {
  for (int other = 0; other < size_; ++other)
    for (size_t piece = 0; piece < kSlots; ++piece) {
      *flag(other, rank_, piece) = 1;
      *flag(rank_, other, piece) = 0;
    }
}

bool StagedGather::idle() const noexcept {
  return std::ranges::all_of(std::array{push_, pull_},
                             [](const auto& stream) { return cudaStreamQuery(stream.stream()) != cudaErrorNotReady; });
}

}  // namespace flux
