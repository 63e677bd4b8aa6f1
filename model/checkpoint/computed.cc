#include "model/checkpoint/computed.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <map>
#include <ranges>

namespace flux {
namespace {

class ShapesOnly : public TensorSource {
 public:
  ShapesOnly(const std::vector<ExpectedTensor>& tensors, const std::string& where) : where_(where) {
    const auto file = std::make_shared<const std::string>(where);
    for (const auto& [name, shape, kept] : tensors) {
      tensors_.emplace(name, TensorInfo{.name = name,
                                        .dtype = at::kBFloat16,
                                        .stored_as = "BF16",
                                        .shape = shape,
                                        .bytes = 2 * c10::multiply_integers(shape),
                                        .file = file});
    }
  }

  std::string where() const override { return where_; }
  bool has_values() const override { return false; }

  const TensorInfo* find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }

  std::vector<std::string> names() const override {
    const auto names = std::views::keys(tensors_);
    return {names.begin(), names.end()};
  }

  void read(const TensorInfo& tensor, int64_t, const at::Tensor&) const override {
    TORCH_INTERNAL_ASSERT(false, tensor.name, " has a shape but no values");
  }

 private:
  std::string where_;
  std::map<std::string, TensorInfo, std::less<>> tensors_;
};

/// splitmix64: a good hash of 64 bits, here of a counter, so that any row block gives the same values.
uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

class Random : public ShapesOnly {
 public:
  Random(const std::vector<ExpectedTensor>& tensors, const std::string& where, uint64_t seed)
      : ShapesOnly(tensors, where), seed_(seed) {}

  bool has_values() const override { return true; }

  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    const int64_t rows = tensor.shape.empty() ? 1 : tensor.shape[0];
    const int64_t inputs = c10::multiply_integers(tensor.shape) / rows;
    const bool vector = tensor.shape.size() < 2;
    const float centre = vector && tensor.name.ends_with(".weight") ? 1.0F : 0.0F;
    const float half_width = vector ? 0.1F : std::sqrt(3.0F / static_cast<float>(inputs));
    const uint64_t key = mixed(seed_) ^ hash(tensor.name);
    const auto first = static_cast<uint64_t>(row * inputs);
    auto* values = into.mutable_data_ptr<at::BFloat16>();
    at::parallel_for(0, into.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const uint64_t bits = mixed(key + first + static_cast<uint64_t>(i)) >> 40;
        values[i] = centre + half_width * (static_cast<float>(bits) * 0x1p-23F - 1.0F);
      }
    });
  }

 private:
  /// FNV-1a, the same on every machine.
  static uint64_t hash(const std::string& text) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
  }

  uint64_t seed_;
};

}  // namespace

std::shared_ptr<const TensorSource> shapes_only_source(const std::vector<ExpectedTensor>& tensors,
                                                       const std::string& where) {
  return std::make_shared<ShapesOnly>(tensors, where);
}

std::shared_ptr<const TensorSource> random_source(const std::vector<ExpectedTensor>& tensors, const std::string& where,
                                                  uint64_t seed) {
  return std::make_shared<Random>(tensors, where, seed);
}

}  // namespace flux
