#include "runtime/metrics.h"

#include <gmock/gmock.h>

#include "tests/runtime/run_folder.h"

namespace flux {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

TEST(Metrics, TellHowFarARunIsAndHowBusyRanksAre) {
  const RunFacts facts = one_rank();
  Metrics metrics(10, 3, facts.placement);
  const auto tell = [&](Time now, const auto& what) { metrics.on(now, what); };
  tell(1s, Event(event::Submitted{0, {0, 1, 2}}));
  tell(1s, Event(event::Alive{0, -1, 0, 0, int64_t{3} << 30}));
  tell(1s, Command(command::Encode{0, 0}));
  tell(3s, Event(event::Encoded{0}));
  tell(3s, Command(command::Denoise{0, 0}));
  tell(5s, Command(command::Denoise{1, 0}));  // waits for the first
  tell(8s, Event(event::Denoised{0}));
  tell(8s, Command(command::Decode{0, 0}));
  tell(9s, Event(event::Decoded{0}));
  tell(12s, Event(event::Denoised{1}));
  Record record = drawn(0, "a secret cat");
  record.file = "/home/me/00000-7.png";
  tell(9s, record);
  record.error = "no paint";
  tell(10s, record);

  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("flux_dist_pictures{state=\"asked\"} 10"));
  EXPECT_THAT(text, HasSubstr("flux_dist_pictures{state=\"there_before\"} 3"));
  EXPECT_THAT(text, HasSubstr("flux_dist_pictures{state=\"left\"} 5"));
  EXPECT_THAT(text, HasSubstr("flux_dist_pictures_total{status=\"drawn\"} 1"));
  EXPECT_THAT(text, HasSubstr("flux_dist_pictures_total{status=\"failed\"} 1"));
  EXPECT_THAT(text, HasSubstr("flux_dist_busy_seconds_total{rank=\"0\",stage=\"encode\"} 2"));
  EXPECT_THAT(text, HasSubstr("flux_dist_busy_seconds_total{replica=\"0\",stage=\"denoise\"} 9"));
  EXPECT_THAT(text, HasSubstr("flux_dist_busy_seconds_total{rank=\"0\",stage=\"decode\"} 1"));
  EXPECT_THAT(text, HasSubstr("flux_dist_stage_seconds_sum{stage=\"denoise\"} 2"));
  EXPECT_THAT(text, HasSubstr("flux_dist_picture_seconds_count 1"));
  EXPECT_THAT(text, HasSubstr("flux_dist_picture_seconds_sum 8"));
  EXPECT_THAT(text, HasSubstr("flux_dist_pictures_at_stage{stage=\"encode\"} 0"));
  EXPECT_THAT(text, HasSubstr("flux_dist_pictures_at_stage{stage=\"denoise\"} 1"));
  EXPECT_THAT(text, HasSubstr("flux_dist_pictures_at_stage{stage=\"decode\"} 1"));
  EXPECT_THAT(text, HasSubstr("flux_dist_pictures_at_stage{stage=\"write\"} 0"));
  EXPECT_THAT(text, HasSubstr("flux_dist_peak_memory_bytes{of=\"host\",rank=\"0\"} 3221225472"));
  EXPECT_THAT(text, HasSubstr("dtype=\"fp32\""));
  EXPECT_THAT(text, Not(HasSubstr("secret")));
  EXPECT_THAT(text, Not(HasSubstr("/home")));
}

}  // namespace
}  // namespace flux
