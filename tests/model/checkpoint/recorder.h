#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/tensor_source.h"

namespace flux {

/// A source that remembers which of its tensors were read: proof of what a rank holds. Thread-safe.
class Recorder : public TensorSource {
 public:
  explicit Recorder(std::shared_ptr<const TensorSource> source) : source_(std::move(source)) {}

  /// Names read so far.
  std::set<std::string> read_names() const {
    const std::scoped_lock lock(mutex_);
    return read_;
  }

  std::string where() const override { return source_->where(); }
  bool has_values() const override { return source_->has_values(); }
  const TensorInfo* find(std::string_view name) const override { return source_->find(name); }
  std::vector<std::string> names() const override { return source_->names(); }

  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    {
      const std::scoped_lock lock(mutex_);
      read_.insert(tensor.name);
    }
    source_->read(tensor, row, into);
  }

 private:
  std::shared_ptr<const TensorSource> source_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> read_;
};

}  // namespace flux
