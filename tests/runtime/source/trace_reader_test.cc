#include "runtime/source/trace_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/rank/errors.h"
#include "runtime/options/plain_text.h"

namespace flux {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

std::string problem(const std::string& text) {
  try {
    read_trace(text, "t.txt");
  } catch (const Invalid& error) {
    return error.what();
  }
  return "read";
}

TEST(Trace, IsToldFromPrompts) {
  EXPECT_TRUE(is_trace("\n Request(prompt='a')"));
  EXPECT_TRUE(is_trace(plain_text("\xef\xbb\xbfRequest()")));
  EXPECT_FALSE(is_trace("a red circle\nRequest()"));
  EXPECT_FALSE(is_trace(""));
}

TEST(Trace, HoldsWhatPythonsReprWrites) {
  const auto all = read_trace(
      plain_text(
          "Request(request_id='a', timestamp=1.5, prompt='it\\'s \\\\ \\n\\x41\\u00e9\\U0001f600, (b=1)', width=512, "
          "height=256.0, num_inference_steps=20, slo_ms=2500)\r\n\r\n"
          "Request(request_id=7, text=\"a 'b'\", seed=18446744073709551615, width=None, num_frames=1, timestamp=0)"),
      "t.txt");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].line.options.prompt(), "it's \\ \nA\xc3\xa9\xf0\x9f\x98\x80, (b=1)");
  EXPECT_EQ(all[0].line.options.width(), 512);
  EXPECT_EQ(all[0].line.options.height(), 256);
  EXPECT_EQ(all[0].line.options.num_inference_steps(), 20);
  EXPECT_EQ(all[0].timestamp, 1.5);
  EXPECT_EQ(all[0].slo_ms, 2500);
  EXPECT_EQ(all[1].line.options.prompt(), "a 'b'");
  EXPECT_EQ(all[1].line.options.seed(), 18446744073709551615U);
  EXPECT_FALSE(all[1].line.options.has_width());
  EXPECT_EQ(all[1].slo_ms, std::nullopt);
  EXPECT_EQ(all[1].line.origin, "t.txt:3");
}

TEST(Trace, NamesTheLineThatIsWrong) {
  EXPECT_EQ(problem("Request(width=512)\nRequest(width=1)"), "t.txt:2: width: 1 is less than 2");
  EXPECT_THAT(problem("Request(width='a')"), EndsWith("width: is a text; a number is wanted"));
  EXPECT_THAT(problem("Request(width=512.5)"), HasSubstr("is not a whole number"));
  EXPECT_THAT(problem("Request(prompt=3)"), EndsWith("prompt: is a number; a text is wanted"));
  EXPECT_THAT(problem("Request(timestamp=-1)"), HasSubstr("timestamp: is no number from 0"));
  EXPECT_THAT(problem("Request(slo_ms=1e300)"), HasSubstr("slo_ms: is no number from 0"));
  EXPECT_THAT(problem("Request(timestamp=nan)"), HasSubstr("is no number"));
  EXPECT_THAT(problem("Request(num_frames=16)"), HasSubstr("there is no field \"num_frames\""));
  EXPECT_THAT(problem("Request(image_path='a.png')"), HasSubstr("there is no field \"image_path\""));
  EXPECT_THAT(problem("Request(prompt='a"), EndsWith("a text does not end"));
  EXPECT_THAT(problem("Request(prompt='\\ud800')"), HasSubstr("is no character"));
  EXPECT_THAT(problem("Request(prompt='a' width=3)"), HasSubstr("a comma or the closing bracket is missing"));
  EXPECT_THAT(problem("Request(prompt='a') # b"), HasSubstr("a comma or the closing bracket is missing"));
  EXPECT_THAT(problem("Request(**x)"), HasSubstr("is no field=value"));
  EXPECT_THAT(problem("Request("), HasSubstr("is no field=value"));
  EXPECT_THAT(problem("Request()\na red circle"), EndsWith("t.txt:2: is no Request(...)"));
}

}  // namespace
}  // namespace flux
