// What a format costs one step of FLUX.1-dev at its true size: the error of the velocity, to the same weights in fp32.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "built_with.h"

#if FLUX_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDACachingAllocator.h>

#include "model/denoiser.h"
#include "model/reproducible_arithmetic.h"
#include "model/transformer/modulation_layout.h"
#include "tests/model/comparison.h"
#include "tests/model/transformer/one_rank.h"
#include "tests/reference.h"

namespace flux {
namespace {

constexpr double kBytes = 60e9;  // of a card that holds the transformer in fp32
const Picture picture{.height = 1024, .width = 1024, .seed = 5};
const Demand demand{picture.tokens(), 512};

/// Columns of every normalised input that are larger than the others.
struct Outliers {
  const char* source;
  int64_t columns;
  double times;
};
const std::vector<Outliers> kinds = {
    {"none", 0, 1},
    {"16 columns", 16, 30},
    {"LLM.int8 (arXiv:2208.07339): six features, up to 20 times as large in 6.7 B", 6, 20},
    {"SmoothQuant (arXiv:2211.10438): a few channels, about 100 times as large", 3, 100},
};

/// The demo's folder with the transformer of FLUX.1-dev.
class DevModel {
 public:
  DevModel() : path_(std::filesystem::temp_directory_path() / ("flux_step_error_" + std::to_string(getpid()))) {
    std::filesystem::copy(source_folder() / "configs" / "demo", path_, std::filesystem::copy_options::recursive);
    auto fields = json(path_ / "transformer" / "config.json");
    fields.update({{"num_layers", 19}, {"num_single_layers", 38}, {"num_attention_heads", 24}});
    fields.update({{"attention_head_dim", 128}, {"axes_dims_rope", {16, 56, 56}}, {"in_channels", 64}});
    std::ofstream(path_ / "transformer" / "config.json") << fields;
  }
  ~DevModel() { std::filesystem::remove_all(path_); }

  Checkpoint checkpoint() const { return random_weights(ModelFolder(path_), 7); }

 private:
  std::filesystem::path path_;
};

/// Shifts and scales near 0, gates near 1; outliers come from the scales, each block's in columns of its own.
at::Tensor modulation_with(const Outliers& outliers, const ModulationLayout& layout) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
  const at::Tensor row = 0.1 * at::randn({layout.size()}, generator);
  const at::Tensor vectors = row.narrow(0, 0, layout.norm_out()).view({-1, 3, layout.d});
  vectors.select(1, 2).add_(0.7);
  for (int64_t norm = 0; norm < vectors.size(0); ++norm) {
    const at::Tensor columns = at::randperm(layout.d, generator, at::kLong).narrow(0, 0, outliers.columns);
    vectors[norm][1].index_fill_(0, columns, outliers.times - 1);
  }
  return row.unsqueeze(0);
}

c10::CachingDeviceAllocator::Stat allocated() {
  return c10::cuda::CUDACachingAllocator::getDeviceStats(0).allocated_bytes[0];
}

/// [tokens, in_channels], with each kind of outliers: what one step of size 1 takes from the noise. Loading takes
/// hardly more of the card than what remains.
std::vector<at::Tensor> velocities(const Checkpoint& checkpoint, at::ScalarType compute, Format format) {
  const auto& config = checkpoint.folder.transformer;
  const OneRank alone(at::kCUDA);
  c10::cuda::CUDACachingAllocator::resetPeakStats(0);
  Denoiser denoiser(checkpoint, {at::Device(at::kCUDA, 0), compute, format}, *alone, demand);
  EXPECT_LE(static_cast<double>(allocated().peak), 1.05 * static_cast<double>(allocated().current));
  auto generator = at::make_generator<at::CPUGeneratorImpl>(1);
  const at::Tensor txt = at::randn({demand.text_tokens, config.hidden_size()}, generator).to(at::kCUDA, compute);
  const at::Tensor start = noise(picture, config.in_channels);
  std::vector<at::Tensor> all;
  for (const Outliers& outliers : kinds) {
    const at::Tensor modulation = modulation_with(outliers, ModulationLayout(config)).to(at::kCUDA, compute);
    const Conditioning conditioning{.branches = {{txt, modulation}}, .sigmas = {1, 0}};
    all.push_back(start - denoiser(conditioning, picture, [](int64_t, int64_t) {}).cpu());
  }
  return all;
}

class StepErrorGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
    const auto* card = at::cuda::getDeviceProperties(0);
    if (static_cast<double>(card->totalGlobalMem) < kBytes) GTEST_SKIP() << "the transformer in fp32 does not fit";
    if (10 * card->major + card->minor < 89) GTEST_SKIP() << "no products in fp8";
    demand_reproducible_arithmetic();
    at::empty({1}, at::kCUDA);  // the allocator counts from the first tensor on
  }
};

TEST_F(StepErrorGpu, OfInt8IsNearThatOf16Bits) {
  const DevModel model;
  const Checkpoint checkpoint = model.checkpoint();
  const std::vector<at::Tensor> exact = velocities(checkpoint, at::kFloat, Format::dense);
  std::map<Format, std::vector<double>> errors;
  for (const Format format : {Format::dense, Format::int8, Format::fp8, Format::int8_weights, Format::fp8_weights,
                              Format::int8_outliers, Format::nf4, Format::fp4}) {
    SCOPED_TRACE(format_name(format));
    const std::vector<at::Tensor> ours = velocities(checkpoint, at::kBFloat16, format);
    for (size_t kind = 0; kind < kinds.size(); ++kind) errors[format].push_back(relative_rms(ours[kind], exact[kind]));
  }
  for (size_t kind = 0; kind < kinds.size(); ++kind) {
    SCOPED_TRACE(kinds[kind].source);
    for (const auto& [format, of_kinds] : errors)
      std::cout << kinds[kind].source << ": " << format_name(format) << " " << of_kinds[kind] << "\n";
    EXPECT_LE(errors[Format::int8][kind], 1.8 * errors[Format::dense][kind]);
    EXPECT_LE(errors[Format::int8][kind], 0.5 * errors[Format::fp8][kind]);
    EXPECT_GT(exact[kind].square().mean().sqrt().item<double>(), 0.1);  // of nothing there is no error
  }
}

}  // namespace
}  // namespace flux
#endif
