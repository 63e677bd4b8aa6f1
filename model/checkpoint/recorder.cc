#include "model/checkpoint/recorder.h"

#include <utility>

namespace flux {

Recorder::Recorder(std::shared_ptr<const TensorSource> source) : source_(std::move(source)) {}

std::set<std::string> Recorder::read_names() const {
  const std::scoped_lock lock(mutex_);
  return read_;
}

void Recorder::read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const {
  {
    const std::scoped_lock lock(mutex_);
    read_.insert(tensor.name);
  }
  source_->read(tensor, row, into);
}

}  // namespace flux
