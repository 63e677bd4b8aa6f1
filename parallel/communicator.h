#pragma once

#include <ATen/ATen.h>

#include <string>
#include <string_view>

#include "parallel/pending.h"

namespace flux {

/// A group of ranks that compute together. Every rank makes the same calls in the same order, from one thread;
/// on CUDA they are queued behind ATen's current stream. A group of one rank is allowed and moves nothing.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Collective: memory that the transport can register. Uninitialised, the same sizes on every rank.
  virtual at::Tensor buffer(at::IntArrayRef sizes, at::TensorOptions options) = 0;

  /// Rank r owns rows[r] consecutive rows (dimension 0) of the contiguous tensor `all`, its own already in place.
  /// rows.size() == size(), their sum is all.size(0); rows may be 0.
  virtual Pending all_gather(const at::Tensor& all, at::IntArrayRef rows) = 0;

  /// In the order of ranks, sent_rows[r] rows (dimension 0) of the contiguous tensor `sent` go to rank r, and
  /// received_rows[r] rows of `received`, other memory, come from it. Where all that a rank sends and receives are of
  /// one size, so are the others'. torch.distributed.all_to_all_single.
  virtual Pending all_to_all(const at::Tensor& received, at::IntArrayRef received_rows, const at::Tensor& sent,
                             at::IntArrayRef sent_rows) = 0;

  /// The contiguous tensor `value` of rank `root` replaces everybody's.
  virtual Pending broadcast(const at::Tensor& value, int root) = 0;

  /// The largest of every element over ranks, in place. For few values.
  virtual Pending reduce(const at::Tensor& value) = 0;

  /// What carries an all_gather of such `rows` of `all`, a whole buffer of buffer(), in words for people.
  virtual std::string carrier(const at::Tensor& /*all*/, at::IntArrayRef /*rows*/) const { return "host memory"; }

  /// Whether a CUDA graph can hold its collectives. A group of one rank has nothing to hold.
  virtual bool capturable() const { return size() == 1; }

  /// From any thread: every later wait, on every rank, throws Aborted(why).
  virtual void abort(std::string_view why) noexcept = 0;
};

}  // namespace flux
