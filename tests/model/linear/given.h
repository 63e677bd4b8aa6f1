#pragma once

// A Linear of one weight that a test holds.

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/checkpoint/tensor_source.h"
#include "model/linear/linear.h"

namespace flux {

/// One weight and its bias in memory: a.weight, a.bias.
class Given : public TensorSource {
 public:
  Given(at::Tensor weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {
    for (const auto& [name, values] : {std::pair("a.weight", weight_), std::pair("a.bias", bias_)})
      infos_.push_back({.name = name,
                        .dtype = values.scalar_type(),
                        .stored_as = "F32",
                        .shape = values.sizes().vec(),
                        .bytes = static_cast<int64_t>(values.nbytes()),
                        .file = std::make_shared<const std::string>("memory")});
  }

  const TensorInfo* find(std::string_view name) const override {
    for (const TensorInfo& info : infos_)
      if (info.name == name) return &info;
    return nullptr;
  }
  std::string where() const override { return "memory"; }
  std::vector<std::string> names() const override { return {"a.bias", "a.weight"}; }
  void read(const TensorInfo& info, int64_t row, const at::Tensor& into) const override {
    into.copy_((info.name == "a.weight" ? weight_ : bias_).narrow(0, row, into.size(0)));
  }

 private:
  at::Tensor weight_, bias_;
  std::vector<TensorInfo> infos_;
};

/// With a bias from -1 to 1.
inline Linear linear_of(const at::Tensor& weight, const Placing& placing) {
  const auto bias = at::linspace(-1, 1, weight.size(0));
  return {Weights(std::make_shared<Given>(weight, bias), placing), {"a"}, weight.size(0), weight.size(1)};
}

}  // namespace flux
