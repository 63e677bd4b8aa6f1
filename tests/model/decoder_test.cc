#include "model/decoder.h"

#include <gtest/gtest.h>

#include <string_view>

#include "tests/model/checkpoint/recorder.h"
#include "tests/model/comparison.h"
#include "tests/reference.h"

namespace flux {
namespace {

TEST(Decoder, DrawsThePictureOfFluxPipeline) {
  const Decoder decoder(published(ModelFolder(source_folder() / "configs/demo")), {});
  const auto expected = open_component(reference("vae") / "demo");
  const auto rgb = stored(*expected, "rgb");

  const auto image = decoder(stored(*expected, "latents"), {.height = rgb.size(0), .width = rgb.size(1)});

  ASSERT_EQ(image.rgb.scalar_type(), at::kByte);
  ASSERT_EQ(image.rgb.sizes(), rgb.sizes());
  EXPECT_TRUE(image.rgb.is_contiguous());
  const auto difference = (image.rgb.to(at::kInt) - rgb.to(at::kInt)).abs();
  EXPECT_LE(difference.max().item<int>(), 1);  // sums in another order may cross a rounding
  EXPECT_LT(difference.to(at::kFloat).mean().item<float>(), 1e-3);
  EXPECT_GT(rgb.to(at::kFloat).std().item<float>(), 10);  // the picture is not one colour
}

/// As the source has it, but for one tensor, which is so many times as large.
class Scaled : public Recorder {
 public:
  Scaled(std::shared_ptr<const TensorSource> source, std::string_view name, double factor)
      : Recorder(std::move(source)), name_(name), factor_(factor) {}

  void read(const TensorInfo& tensor, int64_t row, const at::Tensor& into) const override {
    Recorder::read(tensor, row, into);
    at::Tensor values = into;
    if (tensor.name == name_) values.mul_(factor_);
  }

 private:
  std::string_view name_;
  double factor_;
};

TEST(Decoder, WhatOverflowsInFp16IsDecodedInFp32) {
  const Checkpoint usual = random_weights(ModelFolder(source_folder() / "configs/demo"), 3);
  Checkpoint large = usual;
  large.open = [open = usual.open](const std::string& component) {
    return std::make_shared<Scaled>(open(component), "decoder.conv_in.weight", 1e5);
  };
  const Picture picture{.height = 64, .width = 48};
  const at::Tensor latents = at::randn({picture.tokens(), 64});

  const Image image = Decoder(large, {at::kCPU, at::kHalf})(latents, picture);
  EXPECT_EQ(image.warning, "its pixels overflowed in fp16 and were decoded in fp32");
  EXPECT_TRUE(at::equal(image.rgb, Decoder(large, {at::kCPU, at::kFloat})(latents, picture).rgb));
  EXPECT_EQ(Decoder(usual, {at::kCPU, at::kHalf})(latents, picture).warning, "");
}

}  // namespace
}  // namespace flux
