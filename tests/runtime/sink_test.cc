#include "runtime/sink/sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "parallel/rank/errors.h"
#include "runtime/options/help.h"
#include "runtime/printable_line.h"
#include "runtime/sink/gallery.h"
#include "runtime/sink/jpg.h"
#include "runtime/sink/new_file.h"
#include "runtime/sink/png.h"

namespace flux {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

class Folder : public testing::Test {
 protected:
  Folder() {
    std::string name = (fs::temp_directory_path() / "flux-sink-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no folder");
    path = name;
  }
  ~Folder() override { fs::remove_all(path); }

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(path)) all.push_back(entry.path().filename());
    return all;
  }
  std::string content(const std::string& name) const {
    std::ifstream file(path / name, std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
  }
  void write(const std::string& name, const std::string& bytes) const { std::ofstream(path / name) << bytes; }
  std::string refusal(OutputOptions options) const {
    options.folder = options.folder.empty() ? path : options.folder;
    try {
      OutputFolder folder(options);
    } catch (const Invalid& error) {
      return error.what();
    }
    return "taken";
  }

  fs::path path;
};

RunFacts one_rank() { return {"/models/FLUX.1-dev", place({}, 0, {RankFacts{"node", 1, 2, {}}}, {})}; }

Job job(int64_t index, const std::string& prompt) {
  Job one;
  one.index = index;
  one.origin = "prompts.txt:" + std::to_string(index + 1);
  one.prompt.prompt = prompt;
  one.prompt.picture = {32, 48, 7 + static_cast<uint64_t>(index), at::kBFloat16};
  return one;
}

Record drawn(int64_t index, const std::string& prompt) { return {job(index, prompt), "", "", 0, {0.1, 2, 0.25}, {}}; }

Image picture() { return {at::arange(32 * 48 * 3, at::kLong).remainder(256).to(at::kByte).reshape({32, 48, 3})}; }

const std::string kHostile =
    "../../etc/passwd <script>alert(1)</script> \"'& \x1b[31mred \xe2\x80\xae flipped\nSteps: 1";

class SinkTest : public Folder {};

TEST_F(SinkTest, WritesPicturesJournalAndGallery) {
  std::vector<std::string> told;
  {
    Sink sink(OutputFolder({path, ImageFormat::png, false}), one_rank(),
              [&](const Record& record) { told.push_back(record.file + record.error); });
    sink.put(drawn(1, "a cat"), picture());
    sink.put(drawn(0, kHostile), picture());
    Record failed = drawn(2, "");
    failed.error = "the line is empty";
    sink.put(failed, std::nullopt);
    EXPECT_TRUE(sink.finish());
  }
  EXPECT_THAT(names(), UnorderedElementsAre("00000-7.png", "00001-8.png", "journal.jsonl", "index.html"));
  EXPECT_THAT(told, testing::ElementsAre("00001-8.png", "00000-7.png", "the line is empty"));

  std::istringstream journal(content("journal.jsonl"));
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(journal, line);) lines.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["file"], "00001-8.png");
  EXPECT_EQ(lines[0]["seed"], 8);
  EXPECT_EQ(lines[0]["noise_dtype"], "bf16");
  EXPECT_EQ(lines[0]["seconds"]["denoise"], 2.0);
  EXPECT_EQ(lines[0]["placement"]["transport"], "thread");
  EXPECT_EQ(lines[1]["prompt"], kHostile);
  EXPECT_EQ(lines[2]["status"], "failed");
  EXPECT_EQ(lines[2]["error"], "the line is empty");

  const auto html = content("index.html");
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, Not(HasSubstr("\x1b")));
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

TEST_F(SinkTest, AFullDiskFailsThePictureAndLeavesNothingHalf) {
  std::vector<std::string> errors;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  {
    Sink sink(OutputFolder({path, ImageFormat::png, false}), one_rank(),
              [&](const Record& record) { errors.push_back(record.error); });
    const rlimit small{2000, before.rlim_max};  // a journal line fits, a picture does not
    setrlimit(RLIMIT_FSIZE, &small);
    sink.put(drawn(0, "a cat"), Image{at::randint(256, {64, 64, 3}, at::kByte)});
    sink.finish();
    setrlimit(RLIMIT_FSIZE, &before);
  }
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(errors[0], HasSubstr("00000-7.png"));
  EXPECT_THAT(errors[0], HasSubstr("File too large"));
  for (const auto& name : names()) EXPECT_THAT(name, testing::AnyOf("journal.jsonl", "index.html"));
}

TEST_F(SinkTest, AFolderThatIsNotEmptyIsLeftAlone) {
  write("mine.txt", "x");
  EXPECT_THAT(refusal({path, ImageFormat::png, false}), HasSubstr("--overwrite"));
  EXPECT_THAT(names(), UnorderedElementsAre("mine.txt"));
}

TEST_F(SinkTest, OverwriteRemovesWhatTheJournalListsAndNothingElse) {
  for (const char* name : {"00000-7.png", "00001-8.jpg", "00002-9.png", "mine.png", "index.html"}) write(name, "x");
  write("journal.jsonl",
        "{\"file\": \"00000-7.png\"}\n{\"file\": \"00001-8.jpg\"}\n{\"file\": \"mine.png\"}\n{\"file\": \"../x\"}\n"
        "{\"file\": \"/etc/passwd\"}\n[1]\nnot json\n{\"file\": 3}\n{\"file\": \"00002-9");
  fs::create_directory(path / "out");
  Sink(OutputFolder({path, ImageFormat::png, true}), one_rank(), [](const Record&) {}).finish();
  EXPECT_THAT(names(), UnorderedElementsAre("00002-9.png", "mine.png", "out", "journal.jsonl", "index.html"));
  EXPECT_EQ(content("journal.jsonl"), "");
}

TEST_F(SinkTest, AFolderThatCannotBeIsNamed) {
  write("file", "x");
  EXPECT_THAT(refusal({path / "file", ImageFormat::png, false}), HasSubstr((path / "file").string()));
  EXPECT_THAT(refusal({path / "file" / "below", ImageFormat::png, false}), HasSubstr("cannot make this folder"));
  EXPECT_THAT(refusal({"/proc/flux", ImageFormat::png, false}), HasSubstr("/proc/flux"));
  EXPECT_THAT(refusal({"/proc/self/fdinfo", ImageFormat::png, true}), HasSubstr("/proc/self/fdinfo"));
}

TEST_F(SinkTest, PictureTextsSurviveHostilePrompts) {
  Job hostile = job(0, kHostile);
  hostile.prompt.negative_prompt = "blurry";
  hostile.prompt.true_cfg_scale = 2;
  const auto text = parameters_text(hostile, one_rank());
  EXPECT_THAT(text, testing::StartsWith(kHostile + "\nNegative prompt: blurry\nSteps: 28, Sampler: Euler"));
  EXPECT_THAT(text, HasSubstr("CFG scale: 2, Distilled CFG Scale: 3.5, Seed: 7, Size: 48x32, Model: FLUX.1-dev"));
  const auto bytes = png(picture(), {{"parameters", text + std::string("\0x", 2)}});
  EXPECT_THAT(bytes, HasSubstr("iTXtparameters"));
  EXPECT_THAT(bytes, HasSubstr(kHostile));
  EXPECT_THAT(bytes, HasSubstr("Version: flux-dist " + version_number() + " x"));
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
    records.back().file = OutputFolder({path, ImageFormat::png, true}).file_name(records.back().job);
  }
  const auto html = gallery(records, one_rank());
  EXPECT_THAT(html, HasSubstr("<a href=\"#part3\">3</a></nav>"));
  EXPECT_LT(html.find("id=\"part3\""), html.find("id=\"part1\"")) << "the first part is last, and the default";
  EXPECT_THAT(html, HasSubstr("src=\"00249-256.png\""));
}

TEST(PrintableLine, ControlCharactersDoNotReachATerminal) {
  EXPECT_EQ(printable_line("a\x1b[31m\x07 b\nc\td\x7f"), "a?[31m? b c d?");
  EXPECT_EQ(printable_line("\xe2\x80\xae\xff\xc3"), "???");
  EXPECT_EQ(printable_line("a cat \xf0\x9f\x90\x88 \xc3\xa9"), "a cat \xf0\x9f\x90\x88 \xc3\xa9");
  EXPECT_EQ(printable_line(std::string(300, 'x'), 5), "xxxxx...");
}

}  // namespace
}  // namespace flux
