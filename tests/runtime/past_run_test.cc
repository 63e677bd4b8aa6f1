#include "runtime/past_run.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "runtime/journal.h"
#include "tests/runtime/run_folder.h"

namespace flux {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const char* const kRun = R"({"event": "run", "journal": 1, "seed": 7})";

class PastRunTest : public RunFolder {
 protected:
  /// A request of two pictures that `begin` knows by its identity.
  static Request request() {
    Request request;
    request.origin = "prompts.txt:1";
    request.id = "00ff";
    request.pictures = 2;
    request.prompt.prompt = "a cat";
    request.prompt.picture = {32, 48, 7, at::kBFloat16};
    return request;
  }

  static std::string done(int64_t picture, const std::string& more = "") {
    return R"({"event": "done", "index": )" + std::to_string(picture) +
           R"(, "status": "drawn", "request": "00ff", "file": "0000)" + std::to_string(picture) + "-" +
           std::to_string(7 + picture) + ".png\"" + more + "}";
  }

  void journal(const std::vector<std::string>& lines) const {
    std::string text;
    for (const auto& line : lines) text += line + "\n";
    write("journal.jsonl", text);
  }

  std::string damage(const std::vector<std::string>& lines) const {
    journal(lines);
    try {
      const PastRun past(path);
    } catch (const Invalid& error) {
      return error.what();
    }
    return "read";
  }

  std::string refused(const Request& request) const {
    try {
      PastRun(path).file_of(request, 0);
    } catch (const Invalid& error) {
      return error.what();
    }
    return "taken";
  }
};

TEST_F(PastRunTest, APictureIsThereWhereTheJournalAndTheFolderSaySo) {
  journal(
      {kRun, R"({"event": "began", "request": "00ff", "files": ["00000-7.png", "00001-8.png"]})", done(0), done(1)});
  write("00000-7.png", "x");
  const PastRun past(path);
  EXPECT_EQ(past.seed(), 7u);
  EXPECT_EQ(past.file_of(request(), 0), "00000-7.png");
  EXPECT_EQ(past.file_of(request(), 1), "") << "its file is gone";
  EXPECT_THAT(past.unfinished(), IsEmpty());
  write("00001-8.png", "");
  EXPECT_EQ(past.file_of(request(), 1), "") << "its file is empty";
}

TEST_F(PastRunTest, WhatWasBegunAndNotDoneIsUnfinished) {
  journal({kRun, R"({"event": "began", "request": "00ff", "files": ["00000-7.png", "00001-8.png"]})", done(0)});
  EXPECT_THAT(PastRun(path).unfinished(), ElementsAre("00001-8.png"));
}

TEST_F(PastRunTest, APictureThatWasBegunAnewIsMissing) {
  journal({kRun, done(0), kRun, R"({"event": "began", "request": "00ff", "files": ["00000-7.png"]})"});
  write("00000-7.png", "x");
  const PastRun past(path);
  EXPECT_THAT(past.unfinished(), ElementsAre("00000-7.png")) << "which will be removed";
  EXPECT_EQ(past.file_of(request(), 0), "");
}

TEST_F(PastRunTest, AHostThatIsNoTextIsNobodys) {
  journal({R"({"event": "run", "journal": 1, "host": 5, "boot": [], "program": 3, "ranks": {}})", done(0)});
  EXPECT_EQ(PastRun(path).changes(nlohmann::json::parse(kRun)), PastRun(path).changes(nlohmann::json::parse(kRun)));
}

TEST_F(PastRunTest, AFailedPictureIsMissing) {
  journal({kRun, R"({"event": "done", "index": 0, "status": "failed", "error": "no paint"})"});
  EXPECT_EQ(PastRun(path).file_of(request(), 0), "");
}

TEST_F(PastRunTest, ALineThatWasCutOffCountsForNothing) {
  const std::string whole = std::string(kRun) + "\n" + done(0) + "\n";
  write("00000-7.png", "x");
  write("00001-8.png", "x");
  for (const std::string& cut : {std::string("{\"event\": \"do"), std::string(3, '\0'), std::string("{}")}) {
    write("journal.jsonl", whole + cut);
    const PastRun past(path);
    EXPECT_EQ(past.journal_bytes(), static_cast<int64_t>(whole.size()));
    EXPECT_EQ(past.file_of(request(), 0), "00000-7.png");
    EXPECT_EQ(past.file_of(request(), 1), "");
  }
  write("journal.jsonl", "{\"event\": \"ru");
  EXPECT_EQ(PastRun(path).journal_bytes(), 0);
}

TEST_F(PastRunTest, DamageIsReportedWithItsPlace) {
  EXPECT_THAT(damage({kRun, "not json", done(0)}), HasSubstr("journal.jsonl: line 2 (byte 42) is damaged"));
  EXPECT_THAT(damage({done(0)}), HasSubstr("line 1 (byte 0) is damaged: it is not the `run`"));
  EXPECT_THAT(damage({R"({"event": "run", "journal": 2})"}),
              HasSubstr("a journal of form 2, and this program knows 1"));
  EXPECT_THAT(damage({kRun, R"({"event": 3})"}), HasSubstr("its \"event\" is no text"));
  EXPECT_THAT(damage({kRun, R"({"event": "done", "index": -1, "status": "drawn", "file": "00000-7.png"})"}),
              HasSubstr("line 2"));
  EXPECT_THAT(damage({kRun, R"({"event": "began", "files": ["../../etc/passwd"]})"}), HasSubstr("no picture of a run"));
  EXPECT_EQ(damage({kRun, R"({"event": "of a later version", "files": 3})"}), "read");
}

TEST_F(PastRunTest, FailuresOfRanksAreCountedByRequest) {
  const std::string run = run_line(one_rank(), 1);
  const auto began = [](const std::string& id) {
    return R"({"event": "began", "request": ")" + id + R"(", "files": ["00000-7.png"]})";
  };
  const auto failures = [&](const std::vector<std::string>& lines) {
    journal(lines);
    const PastRun past(path);
    return std::pair(past.failures_of("00ff"), past.failures_of("ff00"));
  };
  const std::string named = R"({"event": "end", "exit_code": 3, "suspects": ["00ff"]})";
  EXPECT_EQ(failures({run, began("00ff"), began("ff00"), named}), std::pair(1, 0));
  EXPECT_EQ(failures({run, began("00ff"), named, run, began("00ff"), named}), std::pair(2, 0));
  EXPECT_EQ(failures({run, began("00ff"), named, run, began("00ff"), done(0), named}), std::pair(1, 0))
      << "it was drawn in between";
  EXPECT_EQ(failures({run, began("00ff"), began("ff00")}), std::pair(1, 1)) << "rank 0 was killed: it may be either";
  EXPECT_EQ(failures({run, began("00ff"), began("ff00"), done(0), run}), std::pair(0, 1)) << "that one was there";
  for (const char* code : {"0", "75", "129", "143"})
    EXPECT_EQ(failures({run, began("00ff"), R"({"event": "end", "exit_code": )" + std::string(code) + "}"}),
              std::pair(0, 0))
        << "a drain, a time limit, a launcher that died";
  auto elsewhere = nlohmann::json::parse(run);
  elsewhere["boot"] = "another";
  EXPECT_EQ(failures({elsewhere.dump(), began("00ff")}), std::pair(0, 0)) << "its host went down";
}

TEST_F(PastRunTest, AnotherPictureInItsPlaceIsRefusedWithWhatDiffers) {
  journal({kRun, done(0, R"(, "prompt": "a cat", "seed": 9, "height": 32)")});
  Request other = request();
  EXPECT_EQ(refused(other), "taken");
  other.id = "ff00";
  other.prompt.picture.height = 64;
  other.prompt.picture.seed = 9;
  EXPECT_THAT(refused(other), HasSubstr("prompts.txt:1: picture 0 of the run in"));
  EXPECT_THAT(refused(other), HasSubstr("was drawn with true_cfg_scale none, and this run asks for 1.0"));
  other.error = "the line is empty";
  EXPECT_THAT(refused(other), HasSubstr("was drawn of a request that is now wrong (the line is empty)"));
  other.first_picture = 5;
  EXPECT_EQ(refused(other), "taken") << "appended";
}

TEST_F(PastRunTest, WhatChangesTheBitsIsListed) {
  RunFacts facts = one_rank();
  const auto line = [&] { return run_line(facts, 1); };
  const auto changes = [&] { return PastRun(path).changes(nlohmann::json::parse(line())); };
  journal({line(), done(0)});
  facts.placement = place({}, 0, {RankFacts{"node", 1, 2, {}}, RankFacts{"other", 1, 2, {}}}, {});
  EXPECT_THAT(changes(), IsEmpty()) << "another number of ranks draws the same bits";
  facts.placement.ranks[1].threads = 3;
  EXPECT_THAT(changes(),
              ElementsAre("devices was cpu with --threads 2 and is cpu with --threads 2, cpu with --threads 3"));
  facts.placement.ranks[1].threads = 2;
  facts.identity = "4567";
  facts.placement.dtype = at::kBFloat16;
  facts.placement.ranks[1].device = at::Device(at::kCUDA, 0);
  facts.placement.ranks[1].card = "GPU-1";
  facts.placement.ranks[1].card_name = "H100";
  EXPECT_THAT(changes(), ElementsAre("devices was cpu with --threads 2 and is H100, cpu with --threads 2",
                                     "dtype was fp32 and is bf16", "model was FLUX.1-dev 0123 and is FLUX.1-dev 4567"));
  journal({run_line(one_rank(), 1), done(0), line()});
  EXPECT_EQ(changes().size(), 3u) << "nothing was drawn since";
  journal({run_line(one_rank(), 1), line()});
  EXPECT_THAT(changes(), IsEmpty()) << "nothing was drawn at all";
}

TEST_F(PastRunTest, AnotherProgramLibraryOrFormatDrawsOtherBits) {
  journal({run_line(one_rank(), 1), done(0)});
  const auto same = nlohmann::json::parse(run_line(one_rank(), 1));
  for (const char* field : {"/program/version", "/program/revision", "/program/libtorch", "/program/cuda",
                            "/program/cublas", "/program/cudnn", "/quantize"}) {
    auto other = same;
    other[nlohmann::json::json_pointer(field)] = "another";
    EXPECT_THAT(PastRun(path).changes(other), ElementsAre(HasSubstr("another"))) << field;
  }
}

}  // namespace
}  // namespace flux
