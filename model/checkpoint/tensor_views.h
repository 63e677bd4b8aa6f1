#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/tensor_source.h"

namespace flux {

/// A quantized component's source, of which some tensors are made out of what the files hold and others are but parts
/// of those. Who derives from it says all of them when it is made, so that it may be used by several threads.
class TensorViews : public TensorSource {
 public:
  explicit TensorViews(std::shared_ptr<const TensorSource> source) : source_(std::move(source)) {}

  std::string where() const override { return source_->where(); }
  bool quantized() const override { return true; }

  const TensorInfo* find(std::string_view name) const override {
    const auto view = views_.find(name);
    return view == views_.end() ? source_->find(name) : &view->second.info;
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names = source_->names();
    std::erase_if(names, [&](const std::string& name) { return parts_.contains(name); });
    return names;
  }

  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    const auto view = views_.find(tensor.name);
    view == views_.end() ? source_->read(tensor, row, into) : view->second.read(row, into);
  }

 protected:
  using Read = std::function<void(int64_t row, const at::Tensor& into)>;

  /// A tensor that no file holds in this form; among names() where a file has one of its name.
  void add(const TensorInfo& info, Read read) { views_.insert_or_assign(info.name, View{info, std::move(read)}); }

  /// No more among names().
  void add_part(const std::string& name) { parts_.insert(name); }

  bool has_views() const { return !views_.empty(); }
  const TensorSource& source() const { return *source_; }

  /// All of a small tensor of the files.
  at::Tensor values(const TensorInfo& info) const {
    const at::Tensor values = at::empty(info.shape.empty() ? std::vector<int64_t>{1} : info.shape, info.dtype);
    source_->read(info, 0, values);
    return values;
  }

 private:
  struct View {
    TensorInfo info;
    Read read;
  };

  std::shared_ptr<const TensorSource> source_;
  std::map<std::string, View, std::less<>> views_;
  std::set<std::string> parts_;
};

}  // namespace flux
