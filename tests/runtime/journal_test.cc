#include "runtime/journal.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "runtime/journal_reader.h"
#include "tests/runtime/run_folder.h"

namespace flux {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

Request request() {
  Request request;
  request.origin = "prompts.txt:1";
  request.id = "00ff";
  request.prompt.prompt = "a cat";
  request.prompt.picture = {32, 48, 7, at::kBFloat16};
  request.pictures = 2;
  return request;
}

class JournalTest : public RunFolder {
 protected:
  std::vector<Json> journal() const {
    std::vector<Json> all;
    for (const auto& line : lines("journal.jsonl")) all.push_back(Json::parse(line));
    return all;
  }

  OutputFolder folder{{path, ImageFormat::png}};
  Journal writer{folder, one_rank()};
};

TEST_F(JournalTest, HoldsTheRunWhatWasBegunAndWhatIsDone) {
  EXPECT_FALSE(std::filesystem::exists(path / "journal.jsonl")) << "nothing before everything is loaded";
  writer.on(Time{0}, Command(command::Begin{}));
  writer.on(Time{1}, request());
  Record record = drawn(0, "a cat");
  record.file = "00000-7.png";
  writer.on(Time{2}, record);
  record = drawn(1, "a cat");
  record.error = "no paint";
  writer.on(Time{3}, record);
  writer.end({3, "rank 2 died"});

  const auto all = journal();
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(all[0]["event"], "run");
  EXPECT_EQ(all[0]["fence"], 1);
  EXPECT_EQ(all[0]["model"]["name"], "FLUX.1-dev");
  EXPECT_EQ(all[0]["ranks"].size(), 1u);
  EXPECT_EQ(all[1]["event"], "began");
  EXPECT_EQ(all[1]["request"], "00ff");
  EXPECT_EQ(all[1]["files"], Json({"00000-7.png", "00001-8.png"}));
  EXPECT_EQ(all[2]["event"], "done");
  EXPECT_EQ(all[2]["status"], "drawn");
  EXPECT_EQ(all[2]["file"], "00000-7.png");
  EXPECT_EQ(all[2]["noise_dtype"], "bf16");
  EXPECT_EQ(all[2]["seconds"]["denoise"], 2.0);
  EXPECT_EQ(all[2]["placement"]["transport"], "thread");
  EXPECT_EQ(all[3]["error"], "no paint");
  EXPECT_EQ(all[4]["event"], "end");
  EXPECT_EQ(all[4]["why"], "rank 2 died");
  EXPECT_THAT(journaled_pictures(path / "journal.jsonl"), ElementsAre("00000-7.png", "00001-8.png"));
}

TEST_F(JournalTest, ALineThatDoesNotFitIsTakenBackAndSpoilsNoneThatFollows) {
  writer.begin();
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  Record record = drawn(0, std::string(5000, 'x'));
  record.file = "00000-7.png";
  write("00000-7.png", "x");
  const auto written = static_cast<rlim_t>(std::filesystem::file_size(path / "journal.jsonl"));
  const rlimit small{written + 100, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(writer.on(Time{0}, record), Invalid);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_FALSE(std::filesystem::exists(path / "00000-7.png")) << "no picture that the journal does not know";
  record = drawn(1, "a cat");
  record.file = "00001-8.png";
  writer.on(Time{0}, record);
  ASSERT_EQ(journal().size(), 2u);
  EXPECT_EQ(journal()[1]["file"], "00001-8.png");
}

TEST_F(JournalTest, AnOwnerThatLostTheFolderCannotAppend) {
  writer.begin();
  write(".lock-2", "");
  EXPECT_THROW(writer.on(Time{0}, drawn(0, "a cat")), Aborted);
  EXPECT_EQ(journal().size(), 1u);
}

TEST_F(JournalTest, SaysWhomTheFolderWasTakenFrom) {
  const std::filesystem::path other = path / "other";
  const pid_t child = fork();
  if (child == 0) {
    const OutputFolder left{{other, ImageFormat::png}};
    raise(SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  OutputFolder taken{{other, ImageFormat::png}};
  Journal(taken, one_rank()).on(Time{0}, Command(command::Begin{}));
  const Json run = Json::parse(lines("other/journal.jsonl").at(0));
  EXPECT_EQ(run["fence"], 2);
  EXPECT_THAT(run["taken_from"].get<std::string>(), HasSubstr("process " + std::to_string(child)));
}

TEST_F(JournalTest, NamesOfPicturesMayHoldAnId) {
  write("journal.jsonl",
        "{\"file\": \"00000-7-a.b_c-d.png\"}\n{\"file\": \"00001-8-.png\"}\n{\"file\": \"00002-9-../x.png\"}\n"
        "{\"file\": \"00003-x-a.png\"}\n");
  EXPECT_THAT(journaled_pictures(path / "journal.jsonl"), ElementsAre("00000-7-a.b_c-d.png"));
}

TEST_F(JournalTest, OfAJournalOfAnySizeOneBlockIsHeld) {
  write("journal.jsonl",
        "{\"file\": \"00000-7.png\"}\n" + std::string(3 << 20, 'x') + "\n{\"file\": \"00001-8.png\"}\n");
  EXPECT_THAT(journaled_pictures(path / "journal.jsonl"), ElementsAre("00000-7.png", "00001-8.png"));
  EXPECT_THAT(journaled_pictures(path / "none"), testing::IsEmpty());
  EXPECT_THROW(journaled_pictures(path), Invalid);
}

}  // namespace
}  // namespace flux
