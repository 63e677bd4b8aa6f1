#include "model/checkpoint/counted.h"

#include <utility>

namespace flux {
namespace {

class Counted : public TensorSource {
 public:
  Counted(std::shared_ptr<const TensorSource> source, std::shared_ptr<std::atomic<int64_t>> bytes)
      : source_(std::move(source)), bytes_(std::move(bytes)) {}

  const TensorInfo* find(std::string_view name) const override { return source_->find(name); }
  const TensorInfo* asked(std::string_view name, at::IntArrayRef shape, Format kept) const override {
    return source_->asked(name, shape, kept);
  }
  std::string where() const override { return source_->where(); }
  bool has_values() const override { return source_->has_values(); }
  bool quantized() const override { return source_->quantized(); }
  std::vector<std::string> names() const override { return source_->names(); }

  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    source_->read(tensor, row, into);
    *bytes_ += static_cast<int64_t>(into.nbytes());
  }

 private:
  std::shared_ptr<const TensorSource> source_;
  std::shared_ptr<std::atomic<int64_t>> bytes_;
};

}  // namespace

Checkpoint counted(const Checkpoint& checkpoint, const std::shared_ptr<std::atomic<int64_t>>& bytes) {
  return {checkpoint.folder, [open = checkpoint.open, bytes](const std::string& component) {
            return std::make_shared<Counted>(open(component), bytes);
          }};
}

}  // namespace flux
