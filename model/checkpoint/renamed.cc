#include "model/checkpoint/renamed.h"

#include <map>
#include <ranges>
#include <utility>

namespace flux {
namespace {

class Renamed : public TensorSource {
 public:
  Renamed(std::shared_ptr<const TensorSource> source, const std::function<std::string(const std::string&)>& new_name)
      : source_(std::move(source)) {
    for (const std::string& name : source_->names()) {
      const TensorInfo* original = source_->find(name);
      TensorInfo info = *original;
      info.name = new_name(name);
      std::string key = info.name;
      tensors_.emplace(std::move(key), Entry{std::move(info), original});
    }
  }

  std::string where() const override { return source_->where(); }
  bool has_values() const override { return source_->has_values(); }

  const TensorInfo* find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second.info;
  }

  std::vector<std::string> names() const override {
    const auto names = std::views::keys(tensors_);
    return {names.begin(), names.end()};
  }

  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    source_->read(*tensors_.at(tensor.name).original, row, into);
  }

 private:
  struct Entry {
    TensorInfo info;
    const TensorInfo* original;
  };

  std::shared_ptr<const TensorSource> source_;
  std::map<std::string, Entry, std::less<>> tensors_;
};

}  // namespace

std::shared_ptr<const TensorSource> renamed(std::shared_ptr<const TensorSource> source,
                                            const std::function<std::string(const std::string&)>& new_name) {
  return std::make_shared<Renamed>(std::move(source), new_name);
}

}  // namespace flux
