#include "runtime/suspects.h"

#include <gmock/gmock.h>

namespace flux {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SuspectsTest : public testing::Test {
 protected:
  /// A request of two pictures that is handed to rank 0's encoder.
  void encode(int64_t index, const std::string& id) {
    Request request;
    request.index = index;
    request.id = id;
    request.origin = "prompts.txt:" + id;
    request.pictures = 2;
    request.first_picture = 2 * index;
    tell(Command(command::Encode{index, 0}));
    suspects.on(Time{0}, request);
  }
  void tell(const Event& event) { suspects.on(Time{0}, event); }
  void tell(const Command& command) { suspects.on(Time{0}, command); }
  std::set<std::string> when_fails(int rank) {
    Suspects later = suspects;
    later.on(Time{0}, Command(command::Abort{rank, "died"}));
    return later.of_the_culprit();
  }

  std::map<int, std::string> doing;
  Suspects suspects{[this](int rank, const std::string& what) { doing[rank] = what; }};
};

TEST_F(SuspectsTest, ARankIsWorkingOnWhatItEncodesDrawsAndDecodes) {
  encode(0, "a");
  EXPECT_THAT(when_fails(0), ElementsAre("a"));
  tell(Event(event::Encoded{0}));
  EXPECT_THAT(when_fails(0), IsEmpty());
  encode(1, "b");
  for (int rank : {1, 2}) tell(Event(event::Alive{rank, 0, 1, 4}));
  EXPECT_THAT(when_fails(2), ElementsAre("a"));
  EXPECT_THAT(when_fails(0), ElementsAre("b"));
  EXPECT_THAT(suspects.of_all(), ElementsAre("a", "b"));
  EXPECT_EQ(doing[2], "drawing prompts.txt:a");
  tell(Event(event::Denoised{0}));
  EXPECT_THAT(when_fails(2), IsEmpty());
  tell(Command(command::Decode{0, 0}));
  EXPECT_THAT(when_fails(0), ElementsAre("a", "b"));
  EXPECT_EQ(doing[0], "decoding prompts.txt:a and encoding prompts.txt:b");
  tell(Event(event::Decoded{0}));
  EXPECT_EQ(doing[0], "encoding prompts.txt:b");
  EXPECT_THAT(when_fails(0), ElementsAre("b"));
}

TEST_F(SuspectsTest, WhatIsThereIsNoSuspect) {
  encode(0, "a");
  tell(Event(event::Encoded{0}));
  tell(Event(event::Alive{1, 0, 4, 4}));
  Record record;
  record.picture = 0;
  suspects.on(Time{0}, record);
  tell(Event(event::Alive{1, 0, 4, 4}));  // a late one
  EXPECT_THAT(when_fails(1), IsEmpty());
}

TEST_F(SuspectsTest, NobodyIsToBlameWhereNoRankFailed) {
  encode(0, "a");
  EXPECT_THAT(suspects.of_the_culprit(), IsEmpty());
}

}  // namespace
}  // namespace flux
