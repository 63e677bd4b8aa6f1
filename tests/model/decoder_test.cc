#include "model/decoder.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace flux
