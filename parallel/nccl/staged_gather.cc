#include "parallel/nccl/staged_gather.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace flux {
namespace {

constexpr size_t kPieces = 4;  // of a rank's bytes: others read one while the next is written
constexpr size_t kPieceAtLeast = 1 << 20;
constexpr size_t kLine = 64;  // bytes: each flag has a cache line

std::vector<ByteRange> pieces_of(const ByteRange& range) {
  if (range.size == 0) return {};
  const size_t count = std::clamp<size_t>(range.size / kPieceAtLeast, 1, kPieces);
  const size_t each = (range.size / count + kLine) / kLine * kLine;
  std::vector<ByteRange> pieces;
  for (size_t done = 0; done < range.size; done += each)
    pieces.push_back({range.offset + done, std::min(each, range.size - done)});
  return pieces;
}

size_t whole_lines(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

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

StagedGather::StagedGather(std::shared_ptr<char> host, const at::Tensor& buffer, int rank, int size)
    : host_(std::move(host)),
      buffer_(buffer),
      rank_(rank),
      size_(size),
      push_(c10::cuda::getStreamFromPool(true, buffer.device().index())),
      pull_(c10::cuda::getStreamFromPool(true, buffer.device().index())) {}

size_t StagedGather::staged_bytes(size_t buffer_bytes, int size) {
  return whole_lines(buffer_bytes) + static_cast<size_t>(size) * static_cast<size_t>(size) * kPieces * kLine;
}

bool StagedGather::holds(const at::Tensor& all) const {
  const auto* first = static_cast<const char*>(buffer_.const_data_ptr());
  const auto* data = static_cast<const char*>(all.const_data_ptr());
  return data >= first && data < first + buffer_.nbytes();
}

volatile uint32_t* StagedGather::flag(int from, int to, size_t piece) const {
  const size_t index =
      (static_cast<size_t>(from) * static_cast<size_t>(size_) + static_cast<size_t>(to)) * kPieces + piece;
  return reinterpret_cast<volatile uint32_t*>(host_.get() + whole_lines(buffer_.nbytes()) + index * kLine);
}

/// Of a rank's own bytes into the host's memory, as soon as the others have read what was there before; they may read
/// on where this has come to.
void StagedGather::push(size_t piece, char* to, const char* from, size_t bytes) {
  FlagOperations before, after;
  for (int reader = 0; reader < size_; ++reader) {
    if (reader == rank_) continue;
    before.wait(flag(rank_, reader, piece), 0);
    after.write(flag(rank_, reader, piece), 1);
  }
  before.queue(push_);
  C10_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, push_.stream()));
  after.queue(push_);
}

void StagedGather::pull(int writer, size_t piece, char* to, const char* from, size_t bytes) {
  FlagOperations before, after;
  before.wait(flag(writer, rank_, piece), 1);
  after.write(flag(writer, rank_, piece), 0);
  before.queue(pull_);
  C10_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, pull_.stream()));
  after.queue(pull_);
}

std::shared_ptr<at::cuda::CUDAEvent> StagedGather::operator()(const at::Tensor& all,
                                                              const std::vector<ByteRange>& ranges) {
  const c10::cuda::CUDAGuard device(buffer_.device());
  auto* card = static_cast<char*>(all.data_ptr());
  char* host = host_.get() + (card - static_cast<const char*>(buffer_.const_data_ptr()));
  const auto current = c10::cuda::getCurrentCUDAStream();
  std::vector<std::vector<ByteRange>> pieces;
  for (const ByteRange& range : ranges) pieces.push_back(pieces_of(range));
  const std::vector<ByteRange>& mine = pieces[static_cast<size_t>(rank_)];

  block(current, pull_);
  if (!mine.empty()) block(current, push_);
  for (size_t piece = 0; piece < kPieces; ++piece) {
    if (piece < mine.size()) {
      const ByteRange& bytes = mine[piece];
      push(piece, host + bytes.offset, card + bytes.offset, bytes.size);
      // A card may run its streams one after the other: what others wait for comes before what waits for others.
      block(push_, pull_);
    }
    for (int distance = 1; distance < size_; ++distance) {
      const int writer = (rank_ + distance) % size_;
      const std::vector<ByteRange>& theirs = pieces[static_cast<size_t>(writer)];
      if (piece >= theirs.size()) continue;
      const ByteRange& bytes = theirs[piece];
      pull(writer, piece, card + bytes.offset, host + bytes.offset, bytes.size);
    }
  }
  auto moved = std::make_shared<at::cuda::CUDAEvent>();
  moved->record(pull_);
  return moved;
}

void StagedGather::let_pass() noexcept {
  for (int other = 0; other < size_; ++other)
    for (size_t piece = 0; piece < kPieces; ++piece) {
      *flag(other, rank_, piece) = 1;
      *flag(rank_, other, piece) = 0;
    }
}

}  // namespace flux
