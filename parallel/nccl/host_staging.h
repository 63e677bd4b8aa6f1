#pragma once

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>
#include <vector>

#include "parallel/group.h"
#include "parallel/host_group.h"
#include "parallel/nccl/host_memory.h"

namespace flux {

/// Moves through memory of the host that all ranks share, for cards that do not reach each other. Copy engines move
/// everything, and what waits is the card's own front end: kernels that run meanwhile keep all multiprocessors, where
/// NCCL's would take some of them and wait for others. What is queued is behind ATen's current stream, and done with
/// the event; a CUDA graph can hold it.
class HostStaging {
 public:
  /// `host`: zeros, of host_bytes().
  HostStaging(std::shared_ptr<char> host, at::Device device, int rank, int size);

  /// Of host memory, for `size` ranks.
  static size_t host_bytes(int size);

  std::shared_ptr<at::cuda::CUDAEvent> all_gather(const at::Tensor& all, const std::vector<ByteRange>& ranges);

  std::shared_ptr<at::cuda::CUDAEvent> all_to_all(const at::Tensor& received, const at::Tensor& sent,
                                                  const AllToAllRanges& ranges);

  /// Lets the card past what it waits for now, of a job that has ended: a rank that is gone never writes. From any
  /// thread, as often as it takes.
  void let_pass() noexcept;

  /// Whether everything that was queued is done.
  bool idle() const noexcept;

 private:
  /// Where a rank's pieces are, one after the other, for those who read them.
  struct Lane {
    char* memory;
    size_t slots, slot_bytes;
    char* flags;  // by reader and slot

    char* slot(size_t piece) const;

    /// Whether what is in a slot is there for a reader: 1 from when it is written until it is read.
    volatile uint32_t* flag(int reader, size_t piece) const;
  };

  Lane lane_to_all(int writer) const;
  Lane lane_to_one(int writer, int reader) const;
  char* flags(int kind, int writer) const;

  void start() const;
  void push(const Lane& lane, const std::vector<int>& readers, size_t piece, const char* from, size_t bytes);
  void pull(const Lane& lane, size_t piece, char* to, size_t bytes);
  void await_room(const std::vector<std::vector<ByteRange>>& pieces, size_t piece);
  std::shared_ptr<at::cuda::CUDAEvent> moved() const;

  std::shared_ptr<char> host_;  // every rank's lanes, then the flags
  at::Device device_;
  int rank_, size_;
  std::vector<size_t> written_, read_;  // pieces to one, ever, by the other rank
  c10::cuda::CUDAStream push_, pull_;
};

}  // namespace flux
