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

/// Gathers through memory of the host that all ranks share, for cards that do not reach each other. Copy engines move
/// everything, and what waits is the card's own front end: kernels that run meanwhile keep all multiprocessors, where
/// NCCL's would take some of them and wait for others.
class StagedGather {
 public:
  /// `host`: zeros, of staged_bytes().
  StagedGather(std::shared_ptr<char> host, at::Device device, int rank, int size);

  /// Of host memory, for `size` ranks.
  static size_t staged_bytes(int size);

  /// all_gather, queued behind ATen's current stream; done with the event. A CUDA graph can hold it.
  std::shared_ptr<at::cuda::CUDAEvent> operator()(const at::Tensor& all, const std::vector<ByteRange>& ranges);

  /// Lets the card past what it waits for now, of a job that has ended: a rank that is gone never writes. From any
  /// thread, as often as it takes.
  void let_pass() noexcept;

  /// Whether everything that was queued is done.
  bool idle() const noexcept;

 private:
  /// Where a rank's pieces are, one after the other, for all others to read.
  char* slot(int writer, size_t piece) const;

  /// Whether what is in a slot is there for another rank: 1 from when it is written until it is read.
  volatile uint32_t* flag(int writer, int reader, size_t piece) const;

  void push(size_t piece, const char* from, size_t bytes);
  void pull(int writer, size_t piece, char* to, size_t bytes);

  std::shared_ptr<char> host_;  // every rank's slots, then the flags
  at::Device device_;
  int rank_, size_;
  c10::cuda::CUDAStream push_, pull_;
};

}  // namespace flux
