#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "parallel/rank/errors.h"
#include "runtime/sink/folder_sink.h"
#include "runtime/sink/gallery.h"
#include "runtime/sink/jpg.h"
#include "runtime/sink/new_file.h"
#include "runtime/sink/png.h"
#include "tests/runtime/run_folder.h"

namespace flux {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

Image picture() { return {at::arange(32 * 48 * 3, at::kLong).remainder(256).to(at::kByte).reshape({32, 48, 3})}; }

/// Everything that the sink makes of these, and of the gallery.
std::vector<Sink::Written> written(const OutputFolder& folder, const std::vector<std::pair<Record, Image>>& pictures,
                                   const std::vector<Record>& records) {
  FolderSink sink(folder, one_rank(), [] {});
  for (const auto& [record, image] : pictures) sink.put(record, image);
  sink.finish(records);
  while (!sink.finished()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(sink.problem(), "");
  std::vector<Sink::Written> made = sink.take_written();
  std::sort(made.begin(), made.end(), [](const auto& a, const auto& b) { return a.picture < b.picture; });
  return made;
}

const std::string kHostile =
    "../../etc/passwd <script>alert(1)</script> \"'& \x1b[31mred \xe2\x80\xae flipped\nSteps: 1";

class SinkTest : public RunFolder {};

TEST_F(SinkTest, WritesPicturesAndAGallery) {
  std::vector<Record> records = {drawn(1, "a cat"), drawn(0, kHostile), drawn(2, "")};
  records[0].file = "00001-8.png";
  records[1].file = "00000-7.png";
  records[2].error = "the line is empty";
  {
    const OutputFolder folder({path, ImageFormat::png});
    const auto made = written(folder, {{records[0], picture()}, {records[1], picture()}}, records);
    ASSERT_EQ(made.size(), 2u);
    EXPECT_EQ(made[0].file + made[0].error, "00000-7.png");
    EXPECT_EQ(made[1].file + made[1].error, "00001-8.png");
  }
  EXPECT_THAT(names(), UnorderedElementsAre("00000-7.png", "00001-8.png", "index.html"));
  const auto html = content("index.html");
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, Not(HasSubstr("\x1b")));
  EXPECT_THAT(html, HasSubstr("the line is empty"));
  EXPECT_LT(html.find("00000-7.png"), html.find("00001-8.png")) << "in the order of the prompts";
}

TEST_F(SinkTest, AFileHasTheModeOfTheUmask) {
  const mode_t before = umask(027);
  write_new_file(path / "a", "x");
  umask(before);
  struct stat info{};
  stat((path / "a").c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

/// Files of this process grow no further than this while it lives.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallFiles() { setrlimit(RLIMIT_FSIZE, &before_); }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit before_{};
};

TEST_F(SinkTest, AFullDiskLeavesNothingHalfWritten) {
  {
    const OutputFolder folder({path, ImageFormat::png});
    const SmallFiles small(2000);  // the gallery fits, a picture does not
    const auto made = written(folder, {{drawn(0, "a cat"), Image{at::randint(256, {64, 64, 3}, at::kByte)}}}, {});
    ASSERT_EQ(made.size(), 1u);
    EXPECT_THAT(made[0].error, HasSubstr("00000-7.png"));
    EXPECT_THAT(made[0].error, HasSubstr("File too large"));
  }
  EXPECT_THAT(names(), UnorderedElementsAre("index.html"));
}

TEST_F(SinkTest, WhatAKilledRunLeftInThePlaceOfAPartDoesNotHang) {
  ASSERT_EQ(mkfifo((path / ".a.part").c_str(), 0600), 0);
  write_new_file(path / "a", "x");
  EXPECT_THAT(names(), UnorderedElementsAre("a"));
}

TEST_F(SinkTest, AFolderThatIsNotEmptyIsLeftAlone) {
  write("mine.txt", "x");
  EXPECT_THAT(refusal({path, ImageFormat::png}), HasSubstr("--overwrite"));
  EXPECT_THAT(names(), UnorderedElementsAre("mine.txt"));
}

TEST_F(SinkTest, AFolderMadeForARunThatNeverBeganIsTakenBack) {
  {
    const OutputFolder folder({path / "new", ImageFormat::png});
  }
  EXPECT_THAT(names(), testing::IsEmpty());
}

class OverwriteTest : public RunFolder {
 protected:
  void clear() {
    OutputFolder folder({path, ImageFormat::png, Previous::overwrite});
    EXPECT_THAT(names(), testing::Contains("journal.jsonl")) << "nothing goes before the new run begins";
    folder.clear_previous_run();
  }
};

TEST_F(OverwriteTest, RemovesWhatTheJournalNamesAndNothingElse) {
  for (const char* name : {"00000-7.png", "00001-8.jpg", "00002-9.png", "00003-1.png", ".00004-1.png.part", "mine.png",
                           "index.html", ".mine.part"})
    write(name, "x");
  write("journal.jsonl",
        "{\"file\": \"00000-7.png\"}\n{\"file\": \"00001-8.jpg\"}\n{\"file\": \"mine.png\"}\n{\"file\": \"../x\"}\n"
        "{\"files\": [\"00003-1.png\", \"00004-1.png\", \"../y\", 3]}\n"
        "{\"file\": \"/etc/passwd\"}\n[1]\nnot json\n{\"file\": 3}\n{\"files\": 3}\n{\"file\": \"00002-9");
  fs::create_directory(path / "out");
  clear();
  EXPECT_THAT(names(), UnorderedElementsAre("00002-9.png", "mine.png", "out", ".mine.part"));
}

TEST_F(OverwriteTest, WhatCannotBeReplacedIsRefusedBeforeAnything) {
  fs::create_directory(path / "journal.jsonl");
  EXPECT_THAT(refusal({path, ImageFormat::png, Previous::overwrite}), HasSubstr("journal.jsonl is no file"));
  fs::remove(path / "journal.jsonl");
  write("journal.jsonl", "{\"file\": \"00000-7.png\"}\n");
  fs::create_directory(path / "00000-7.png");
  EXPECT_THAT(refusal({path, ImageFormat::png, Previous::overwrite}), HasSubstr("00000-7.png is no file"));
  fs::remove(path / "00000-7.png");
  fs::remove(path / "journal.jsonl");
  ASSERT_EQ(mkfifo((path / "journal.jsonl").c_str(), 0600), 0);
  EXPECT_THAT(refusal({path, ImageFormat::png, Previous::overwrite}), HasSubstr("journal.jsonl is no file"));
  fs::remove(path / "journal.jsonl");
  fs::create_symlink("/dev/zero", path / "journal.jsonl");
  EXPECT_THAT(refusal({path, ImageFormat::png, Previous::overwrite}), HasSubstr("not a regular file"));
}

TEST_F(OverwriteTest, AnotherUsersPictureInASharedFolderIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make another user's file";
  const fs::path shared = path / "shared";
  fs::create_directory(shared);
  chmod(shared.c_str(), 01777);
  std::ofstream(shared / "journal.jsonl") << "{\"file\": \"00000-7.png\"}\n";
  std::ofstream(shared / "00000-7.png") << "x";
  chmod((shared / "journal.jsonl").c_str(), 0644);
  const pid_t child = fork();
  if (child == 0) {
    chmod(path.c_str(), 0755);
    if (setegid(65534) != 0 || seteuid(65534) != 0) _exit(3);
    std::string said = "taken";
    try {
      const OutputFolder folder({shared, ImageFormat::png, Previous::overwrite});
    } catch (const Invalid& error) {
      said = error.what();
    }
    _exit(said.find("another user") != std::string::npos ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(SinkTest, AFolderThatCannotBeIsNamed) {
  write("file", "x");
  EXPECT_THAT(refusal({path / "file", ImageFormat::png}), HasSubstr((path / "file").string()));
  EXPECT_THAT(refusal({path / "file" / "below", ImageFormat::png}), HasSubstr("cannot make this folder"));
  EXPECT_THAT(refusal({"/proc/flux", ImageFormat::png}), HasSubstr("/proc/flux"));
  EXPECT_THAT(refusal({"/proc/self/fdinfo", ImageFormat::png, Previous::overwrite}), HasSubstr("/proc/self/fdinfo"));
}

TEST_F(SinkTest, PictureTextsSurviveHostilePrompts) {
  Prompt hostile = *drawn(0, kHostile).prompt;
  hostile.negative_prompt = "blurry";
  hostile.true_cfg_scale = 2;
  const auto text = parameters_text(hostile, one_rank());
  EXPECT_THAT(text, testing::StartsWith(kHostile + "\nNegative prompt: blurry\nSteps: 28, Sampler: Euler"));
  EXPECT_THAT(text, HasSubstr("CFG scale: 2, Distilled CFG Scale: 3.5, Seed: 7, Size: 48x32, Model: FLUX.1-dev"));
  const auto bytes = png(picture(), {{"parameters", text + std::string("\0x", 2)}});
  EXPECT_THAT(bytes, HasSubstr("iTXtparameters"));
  EXPECT_THAT(bytes, HasSubstr(kHostile));
  EXPECT_THAT(text, testing::ContainsRegex("Version: flux-dist [0-9.]+$"));
  EXPECT_THAT(bytes, HasSubstr(text + " x")) << "a zero byte would end it";
}

TEST_F(SinkTest, AJpegHoldsTheParametersAndALongPromptIsCut) {
  const auto bytes = jpg(picture(), "a cat", "{}");
  EXPECT_THAT(bytes, HasSubstr(std::string("Exif\0\0MM", 8)));
  EXPECT_THAT(bytes, HasSubstr(std::string("UNICODE\0\0a\0 \0c\0a\0t", 18)));
  EXPECT_THAT(jpg(picture(), "\xf0\x9f\x90\x88", ""), HasSubstr(std::string("UNICODE\0\xd8\x3d\xdc\x08", 12)));
  EXPECT_EQ(bytes.substr(0, 3), "\xff\xd8\xff");
  const auto longer = jpg(picture(), std::string(200'000, 'x'), std::string(200'000, 'y'));
  EXPECT_LT(longer.size(), 140'000u);
}

TEST_F(SinkTest, AGalleryOfManyHasParts) {
  std::vector<Record> records;
  for (int64_t i = 0; i < 250; ++i) {
    records.push_back(drawn(i, "a cat"));
    records.back().file = OutputFolder({path, ImageFormat::png, Previous::overwrite})
                              .file_name(i, records.back().prompt->picture.seed, "");
  }
  const auto html = gallery(records, one_rank());
  EXPECT_THAT(html, HasSubstr("<a href=\"#part3\">3</a></nav>"));
  EXPECT_LT(html.find("id=\"part3\""), html.find("id=\"part1\"")) << "the first part is last, and the default";
  EXPECT_THAT(html, HasSubstr("src=\"00249-256.png\""));
}

TEST_F(SinkTest, TheGalleryShowsPromptsAsTheyWereWritten) {
  const std::string family = "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7";  // one emoji of two and a joiner
  EXPECT_THAT(gallery({drawn(0, family + "\xe2\x80\xae")}, one_rank()), HasSubstr(">" + family + "?<br>"));
}

}  // namespace
}  // namespace flux
