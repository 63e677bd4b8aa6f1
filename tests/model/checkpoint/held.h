#pragma once

#include <ATen/ATen.h>

#include <map>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include "model/checkpoint/tensor_source.h"

namespace flux {

/// Tensors in memory, as a file of the name "held" would have them.
class Held : public TensorSource {
 public:
  explicit Held(std::map<std::string, at::Tensor, std::less<>> tensors) : tensors_(std::move(tensors)) {
    for (const auto& [name, values] : tensors_)
      infos_[name] = {.name = name,
                      .dtype = values.scalar_type(),
                      .stored_as = "?",
                      .shape = values.sizes().vec(),
                      .bytes = static_cast<int64_t>(values.nbytes()),
                      .file = std::make_shared<const std::string>("held")};
  }

  std::string where() const override { return "held"; }
  const TensorInfo* find(std::string_view name) const override {
    const auto found = infos_.find(name);
    return found == infos_.end() ? nullptr : &found->second;
  }
  std::vector<std::string> names() const override {
    const auto names = std::views::keys(infos_);
    return {names.begin(), names.end()};
  }
  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    const at::Tensor& values = tensors_.at(tensor.name);
    const at::Tensor rows = values.dim() == 0 ? values.view({1}) : values;
    into.copy_(rows.narrow(0, row, into.size(0)).view(into.sizes()));
  }

 private:
  std::map<std::string, at::Tensor, std::less<>> tensors_;
  std::map<std::string, TensorInfo, std::less<>> infos_;
};

}  // namespace flux
