#include "parallel/nccl/host_staging.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace flux {
namespace {

constexpr size_t kSlots = 4;  // of a lane to all: they read one piece while the next is written
constexpr size_t kSlotBytes = 4 << 20;
constexpr size_t kPieceAtLeast = 1 << 20;
// Of a lane to one, which holds what a block exchanges of 1024 x 1024 pixels, and room for the next.
constexpr size_t kSlotsToOne = 3;
constexpr size_t kBytesToOne = 144 << 20;  // of all such lanes together
constexpr size_t kMostSlots = std::max(kSlots, kSlotsToOne);
constexpr size_t kLine = 64;  // bytes: each flag has a cache line

std::vector<ByteRange> pieces_of(const ByteRange& range, size_t each) {
  std::vector<ByteRange> pieces;
  for (size_t done = 0; done < range.size; done += each)
    pieces.push_back({range.offset + done, std::min(each, range.size - done)});
  return pieces;
}

/// As many as there are slots, where that makes them large enough.
size_t piece_bytes(size_t bytes, size_t slots, size_t slot_bytes) {
  const size_t count = std::clamp<size_t>(bytes / kPieceAtLeast, 1, slots);
  return std::min((bytes / count + kLine) / kLine * kLine, slot_bytes);
}

size_t piece_to_all(size_t bytes) { return piece_bytes(bytes, kSlots, kSlotBytes); }

size_t slot_bytes_to_one(int size) {
  const auto ranks = static_cast<size_t>(size), others = std::max<size_t>(1, ranks - 1);
  return kBytesToOne / (ranks * others * kSlotsToOne) / kLine * kLine;
}

size_t piece_to_one(size_t bytes, int size) { return piece_bytes(bytes, kSlotsToOne - 1, slot_bytes_to_one(size)); }

/// What a rank writes, by whom it is for.
size_t bytes_of_writer(int size) {
  return kSlots * kSlotBytes + static_cast<size_t>(size - 1) * kSlotsToOne * slot_bytes_to_one(size);
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

HostStaging::HostStaging(std::shared_ptr<char> host, at::Device device, int rank, int size)
    : host_(std::move(host)),
      device_(device),
      rank_(rank),
      size_(size),
      written_(static_cast<size_t>(size)),
      read_(static_cast<size_t>(size)),
      push_(c10::cuda::getStreamFromPool(true, device.index())),
      pull_(c10::cuda::getStreamFromPool(true, device.index())) {}

size_t HostStaging::host_bytes(int size) {
  const auto ranks = static_cast<size_t>(size);
  return ranks * (bytes_of_writer(size) + 2 * ranks * kMostSlots * kLine);
}

char* HostStaging::Lane::slot(size_t piece) const { return memory + piece % slots * slot_bytes; }

volatile uint32_t* HostStaging::Lane::flag(int reader, size_t piece) const {
  return reinterpret_cast<volatile uint32_t*>(flags +
                                              (static_cast<size_t>(reader) * kMostSlots + piece % slots) * kLine);
}

/// A writer's of its lane to all (0), or of those to one (1).
char* HostStaging::flags(int kind, int writer) const {
  const auto ranks = static_cast<size_t>(size_);
  const size_t index = static_cast<size_t>(kind) * ranks + static_cast<size_t>(writer);
  return host_.get() + ranks * bytes_of_writer(size_) + index * ranks * kMostSlots * kLine;
}

HostStaging::Lane HostStaging::lane_to_all(int writer) const {
  char* const memory = host_.get() + static_cast<size_t>(writer) * bytes_of_writer(size_);
  return {memory, kSlots, kSlotBytes, flags(0, writer)};
}

HostStaging::Lane HostStaging::lane_to_one(int writer, int reader) const {
  const auto place = static_cast<size_t>((reader - writer + size_) % size_ - 1);  // of none to oneself
  const size_t bytes = slot_bytes_to_one(size_);
  char* const lanes = lane_to_all(writer).memory + kSlots * kSlotBytes;
  return {lanes + place * kSlotsToOne * bytes, kSlotsToOne, bytes, flags(1, writer)};
}

/// Of a rank's own bytes into the host's memory, where there is room; readers may read on where this has come to.
void HostStaging::push(const Lane& lane, const std::vector<int>& readers, size_t piece, const char* from,
                       size_t bytes) {
  C10_CUDA_CHECK(cudaMemcpyAsync(lane.slot(piece), from, bytes, cudaMemcpyDeviceToHost, push_.stream()));
  FlagOperations written;
  for (const int reader : readers) written.write(lane.flag(reader, piece), 1);
  written.queue(push_);
  // A card may run its streams one after the other: what others wait for comes before what waits for others.
  block(push_, pull_);
}

/// Of another rank's, as soon as they are there.
void HostStaging::pull(const Lane& lane, size_t piece, char* to, size_t bytes) {
  FlagOperations there;
  there.wait(lane.flag(rank_, piece), 1);
  there.queue(pull_);
  C10_CUDA_CHECK(cudaMemcpyAsync(to, lane.slot(piece), bytes, cudaMemcpyHostToDevice, pull_.stream()));
}

void HostStaging::start() const {
  const auto current = c10::cuda::getCurrentCUDAStream();
  block(current, pull_);
  block(current, push_);
}

std::shared_ptr<at::cuda::CUDAEvent> HostStaging::moved() const {
  auto event = std::make_shared<at::cuda::CUDAEvent>();
  event->record(pull_);
  return event;
}

std::shared_ptr<at::cuda::CUDAEvent> HostStaging::all_gather(const at::Tensor& all,
                                                             const std::vector<ByteRange>& ranges) {
  const c10::cuda::CUDAGuard device(device_);
  auto* card = static_cast<char*>(all.data_ptr());
  std::vector<std::vector<ByteRange>> pieces;
  for (const ByteRange& range : ranges) pieces.push_back(pieces_of(range, piece_to_all(range.size)));
  const std::vector<ByteRange>& mine = pieces[static_cast<size_t>(rank_)];
  const size_t most = std::ranges::max(pieces, {}, &std::vector<ByteRange>::size).size();
  std::vector<int> others;
  for (int distance = 1; distance < size_; ++distance) others.push_back((rank_ + distance) % size_);

  start();
  for (size_t piece = 0; piece < most; ++piece) {
    if (piece < mine.size()) {
      FlagOperations room;
      for (const int reader : others) room.wait(lane_to_all(rank_).flag(reader, piece), 0);
      room.queue(push_);
      push(lane_to_all(rank_), others, piece, card + mine[piece].offset, mine[piece].size);
    }
    for (const int writer : others) {
      const std::vector<ByteRange>& theirs = pieces[static_cast<size_t>(writer)];
      if (piece >= theirs.size()) continue;
      pull(lane_to_all(writer), piece, card + theirs[piece].offset, theirs[piece].size);
      FlagOperations read;
      read.write(lane_to_all(writer).flag(rank_, piece), 0);
      read.queue(pull_);
    }
  }
  return moved();
}

/// For the next piece of those to each reader, by rank.
void HostStaging::await_room(const std::vector<std::vector<ByteRange>>& pieces, size_t piece) {
  FlagOperations room;
  for (int reader = 0; reader < size_; ++reader) {
    const auto index = static_cast<size_t>(reader);
    if (reader != rank_ && piece < pieces[index].size())
      room.wait(lane_to_one(rank_, reader).flag(reader, written_[index]), 0);
  }
  room.queue(push_);
}

std::shared_ptr<at::cuda::CUDAEvent> HostStaging::all_to_all(const at::Tensor& received, const at::Tensor& sent,
                                                             const AllToAllRanges& ranges) {
  const c10::cuda::CUDAGuard device(device_);
  const auto* from = static_cast<const char*>(sent.data_ptr());
  auto* to = static_cast<char*>(received.data_ptr());
  const auto own = static_cast<size_t>(rank_);
  std::vector<std::vector<ByteRange>> going, coming;
  for (const ByteRange& range : ranges.sent) going.push_back(pieces_of(range, piece_to_one(range.size, size_)));
  for (const ByteRange& range : ranges.received) coming.push_back(pieces_of(range, piece_to_one(range.size, size_)));
  const size_t most = std::max(std::ranges::max(going, {}, &std::vector<ByteRange>::size).size(),
                               std::ranges::max(coming, {}, &std::vector<ByteRange>::size).size());

  // Where it is in turn: a copy within a card is a kernel, and others may have taken the card.
  C10_CUDA_CHECK(cudaMemcpyAsync(to + ranges.received[own].offset, from + ranges.sent[own].offset,
                                 ranges.sent[own].size, cudaMemcpyDeviceToDevice, c10::cuda::getCurrentCUDAStream()));
  start();
  for (size_t piece = 0; piece < most; ++piece) {
    await_room(going, piece);
    FlagOperations all_read;
    for (int distance = 1; distance < size_; ++distance) {
      const auto reader = static_cast<size_t>((rank_ + distance) % size_);
      const auto writer = static_cast<size_t>((rank_ + size_ - distance) % size_);
      if (piece < going[reader].size()) {
        const auto [offset, size] = going[reader][piece];
        const int other = static_cast<int>(reader);
        push(lane_to_one(rank_, other), {other}, written_[reader]++, from + offset, size);
      }
      if (piece < coming[writer].size()) {
        const auto [offset, size] = coming[writer][piece];
        const Lane lane = lane_to_one(static_cast<int>(writer), rank_);
        pull(lane, read_[writer], to + offset, size);
        all_read.write(lane.flag(rank_, read_[writer]++), 0);
      }
    }
    all_read.queue(pull_);
  }
  return moved();
}

void HostStaging::let_pass() noexcept {
  for (int other = 0; other < size_; ++other) {
    if (other == rank_) continue;
    for (size_t piece = 0; piece < kMostSlots; ++piece) {
      for (const Lane& coming : {lane_to_all(other), lane_to_one(other, rank_)}) *coming.flag(rank_, piece) = 1;
      for (const Lane& going : {lane_to_all(rank_), lane_to_one(rank_, other)}) *going.flag(other, piece) = 0;
    }
  }
}

bool HostStaging::idle() const noexcept {
  return std::ranges::all_of(std::array{push_, pull_},
                             [](const auto& stream) { return cudaStreamQuery(stream.stream()) != cudaErrorNotReady; });
}

}  // namespace flux
