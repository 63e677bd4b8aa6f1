// What a format costs one step of FLUX.1: the error of the velocity, to the same weights in fp32. At a small size on a
// CPU, at FLUX.1-dev's on a card.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "built_with.h"
#include "model/denoiser.h"
#include "model/transformer/modulation_layout.h"
#include "tests/model/checkpoint/recorder.h"
#include "tests/model/comparison.h"
#include "tests/model/transformer/one_rank.h"
#include "tests/reference.h"

#if FLUX_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace flux {
namespace {

using enum Format;

struct Size {
  at::Device device;
  int64_t doubles, singles, heads, head_dim;
  std::array<int64_t, 3> axes;
  Picture picture;
  int64_t text_tokens;
  std::vector<Format> formats;
  size_t kinds;  // of outliers: of few columns one alone may not hold nearly all there is

  Demand demand() const { return {picture.tokens(), text_tokens}; }
};

/// Columns of every normalised input that are larger than the others.
struct Outliers {
  const char* source;
  int64_t columns;  // of FLUX.1's 3072
  double times;
};
const std::vector<Outliers> kinds = {
    {"none", 0, 1},
    {"16 columns", 16, 30},
    {"LLM.int8 (arXiv:2208.07339): six features, up to 20 times as large in 6.7 B", 6, 20},
    {"SmoothQuant (arXiv:2211.10438): a few channels, about 100 times as large", 3, 100},
};

/// Random weights of the variance that PyTorch gives new layers, a third of what keeps an activation's size: beside the
/// residual stream a branch is small, as in a model that was trained.
class OfNewLayers : public Recorder {
 public:
  using Recorder::Recorder;

  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    Recorder::read(tensor, row, into);
    if (tensor.shape.size() > 1) at::Tensor(into).mul_(std::sqrt(1.0 / 3));
  }
};

/// The demo with a transformer of this size.
Checkpoint model_of(const Size& size) {
  ModelFolder folder(source_folder() / "configs/demo");
  TransformerConfig& shape = folder.transformer;
  shape.num_layers = size.doubles;
  shape.num_single_layers = size.singles;
  shape.num_attention_heads = size.heads;
  shape.attention_head_dim = size.head_dim;
  shape.axes_dims_rope = size.axes;
  return {folder, [random = random_weights(folder, 7)](const std::string& name) -> std::shared_ptr<const TensorSource> {
            return std::make_shared<OfNewLayers>(random.open(name));
          }};
}

/// Shifts and scales near 0, gates near 1; outliers come from the scales, each block's in columns of its own.
at::Tensor modulation_with(const Outliers& outliers, const ModulationLayout& layout) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
  const at::Tensor row = 0.1 * at::randn({layout.size()}, generator);
  const at::Tensor vectors = row.narrow(0, 0, layout.norm_out()).view({-1, 3, layout.d});
  vectors.select(1, 2).add_(0.7);
  const int64_t count = (outliers.columns * layout.d + 3071) / 3072;
  for (int64_t norm = 0; norm < vectors.size(0); ++norm) {
    const at::Tensor columns = at::randperm(layout.d, generator, at::kLong).narrow(0, 0, count);
    vectors[norm][1].index_fill_(0, columns, outliers.times - 1);
  }
  return row.unsqueeze(0);
}

/// A denoiser whose loading takes hardly more of a card than what remains.
std::unique_ptr<Denoiser> loaded(const Checkpoint& checkpoint, const Placing& placing, Communicator& alone,
                                 const Demand& demand) {
#if FLUX_CUDA
  if (placing.device.is_cuda()) {
    c10::cuda::CUDACachingAllocator::resetPeakStats(0);
    auto denoiser = std::make_unique<Denoiser>(checkpoint, placing, alone, demand);
    const auto allocated = c10::cuda::CUDACachingAllocator::getDeviceStats(0).allocated_bytes[0];
    EXPECT_LE(static_cast<double>(allocated.peak), 1.05 * static_cast<double>(allocated.current));
    return denoiser;
  }
#endif
  return std::make_unique<Denoiser>(checkpoint, placing, alone, demand);
}

/// [tokens, in_channels], with each kind of outliers: what one step of size 1 takes from the noise.
std::vector<at::Tensor> velocities(const Checkpoint& checkpoint, const Size& size, at::ScalarType compute,
                                   Format format) {
  const auto& config = checkpoint.folder.transformer;
  const OneRank alone(size.device);
  const auto denoiser = loaded(checkpoint, {size.device, compute, format}, *alone, size.demand());
  auto generator = at::make_generator<at::CPUGeneratorImpl>(1);
  const at::Tensor txt = at::randn({size.text_tokens, config.hidden_size()}, generator).to(size.device, compute);
  const at::Tensor start = noise(size.picture, config.in_channels);
  std::vector<at::Tensor> all;
  for (const Outliers& outliers : std::span(kinds).first(size.kinds)) {
    const at::Tensor modulation = modulation_with(outliers, ModulationLayout(config)).to(size.device, compute);
    const Conditioning conditioning{.branches = {{txt, modulation}}, .sigmas = {1, 0}};
    all.push_back(start - (*denoiser)(conditioning, size.picture, [](int64_t, int64_t) {}).cpu());
  }
  return all;
}

class StepError : public testing::TestWithParam<Size> {
 protected:
  void SetUp() override {
    if (GetParam().device.is_cpu()) return;
    if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
#if FLUX_CUDA
    constexpr size_t in_fp32 = size_t{60} << 30;
    const auto* card = at::cuda::getDeviceProperties(0);
    if (card->totalGlobalMem < in_fp32) GTEST_SKIP() << "the transformer in fp32 does not fit";
    if (10 * card->major + card->minor < 89) GTEST_SKIP() << "no products in fp8";
    at::empty({1}, at::kCUDA);  // the allocator counts from the first tensor on
#endif
  }
};

TEST_P(StepError, OfInt8IsLessThanHalfOfFp8) {
  const Size& size = GetParam();
  const Checkpoint checkpoint = model_of(size);
  const std::vector<at::Tensor> exact = velocities(checkpoint, size, at::kFloat, Format::dense);
  std::map<Format, std::vector<double>> errors;
  for (const Format format : size.formats) {
    SCOPED_TRACE(format_name(format));
    const std::vector<at::Tensor> ours = velocities(checkpoint, size, at::kBFloat16, format);
    for (size_t kind = 0; kind < size.kinds; ++kind) errors[format].push_back(relative_rms(ours[kind], exact[kind]));
  }
  for (size_t kind = 0; kind < size.kinds; ++kind) {
    SCOPED_TRACE(kinds[kind].source);
    for (const auto& [format, of_kinds] : errors)
      std::cout << kinds[kind].source << ": " << format_name(format) << " " << of_kinds[kind] << "\n";
    EXPECT_LE(errors[Format::int8][kind], 0.5 * errors[Format::fp8][kind]);
    EXPECT_GT(errors[Format::int8][kind], errors[Format::dense][kind]);
    EXPECT_GT(exact[kind].square().mean().sqrt().item<double>(), 0.1);  // of nothing there is no error
  }
  // Outliers make a step in 16 bit more exact, not less: what is large hides what is rounded beside it.
  EXPECT_LE(errors[Format::int8].front(), 1.8 * errors[Format::dense].front());
}

const Size small{.device = at::kCPU,
                 .doubles = 2,
                 .singles = 3,
                 .heads = 6,
                 .head_dim = 64,
                 .axes = {16, 24, 24},
                 .picture = {.height = 256, .width = 128, .seed = 5},
                 .text_tokens = 32,
                 .formats = {dense, int8, fp8},
                 .kinds = 3};
const Size dev{.device = {at::kCUDA, 0},
               .doubles = 19,
               .singles = 38,
               .heads = 24,
               .head_dim = 128,
               .axes = {16, 56, 56},
               .picture = {.height = 1024, .width = 1024, .seed = 5},
               .text_tokens = 512,
               .formats = {dense, int8, fp8, int8_weights, fp8_weights, int8_outliers, nf4, fp4},
               .kinds = 4};
INSTANTIATE_TEST_SUITE_P(Cpu, StepError, testing::Values(small));
INSTANTIATE_TEST_SUITE_P(Gpu, StepError, testing::Values(dev));

}  // namespace
}  // namespace flux
