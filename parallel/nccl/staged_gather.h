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

/// Gathers within one buffer of a card, through memory of the host that all ranks share, for cards that do not reach
/// each other. Copy engines move everything, and what waits is the card's own front end: kernels that run meanwhile
/// keep all multiprocessors, where NCCL's would take some of them and wait for others.
class StagedGather {
 public:
  /// `host`: of staged_bytes(). `buffer`: contiguous, the same size on every rank.
  StagedGather(std::shared_ptr<char> host, const at::Tensor& buffer, int rank, int size);

  /// Of host memory, for a buffer of so many bytes and `size` ranks.
  static size_t staged_bytes(size_t buffer_bytes, int size);

  /// Whether a tensor lies in the buffer.
  bool holds(const at::Tensor& all) const;

  /// all_gather of what lies in the buffer, queued behind ATen's current stream; done with the event. A CUDA graph can
  /// hold it.
  std::shared_ptr<at::cuda::CUDAEvent> operator()(const at::Tensor& all, const std::vector<ByteRange>& ranges);

  /// Lets the card past what it waits for now, of a job that has ended: a rank that is gone never writes. From any
  /// thread, as often as it takes.
  void let_pass() noexcept;

 private:
  /// Whether a rank's piece is there for another: 1 from when it is written until it is read.
  volatile uint32_t* flag(int from, int to, size_t piece) const;

  void push(size_t piece, char* to, const char* from, size_t bytes);
  void pull(int writer, size_t piece, char* to, const char* from, size_t bytes);

  std::shared_ptr<char> host_;  // the buffer's bytes, then the flags
  at::Tensor buffer_;
  int rank_, size_;
  c10::cuda::CUDAStream push_, pull_;
};

}  // namespace flux
