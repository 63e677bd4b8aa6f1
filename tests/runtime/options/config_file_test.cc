#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "parallel/rank/errors.h"
#include "runtime/options/convert.h"
#include "runtime/options/settings.h"
#include "tests/runtime/options/scratch_folder.h"

namespace flux {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// What is wrong with a config of this text, after FILE.
std::string problem(const std::string& text) {
  const ScratchFolder folder;
  const auto file = folder.write("c.textproto", text);
  Settings settings;
  try {
    settings.add_file(file);
  } catch (const Invalid& error) {
    const std::string what = error.what();
    EXPECT_THAT(what, StartsWith(file.string()));
    return what.substr(file.string().size());
  }
  return "";
}

TEST(ConfigFile, SaysFileLineAndColumn) {
  EXPECT_EQ(problem("width: 64\n  hieght: 64\n"), ":2:9: there is no option \"hieght\"; see --help");
  EXPECT_THAT(problem("width: 64\nwidth: 64\n"), HasSubstr(":2:6: Non-repeated field \"width\""));
  EXPECT_EQ(problem("\nguidance_scale: nan"), ":2:1: guidance_scale: is not a finite number");
  EXPECT_EQ(problem("guidance_scale: -inf"), ":1:1: guidance_scale: is not a finite number");
  EXPECT_EQ(problem("seed: 1 height: 1"), ":1:9: height: 1 is less than 2");
  EXPECT_EQ(problem("replicas: [2, 0]"), ":1:1: replicas: 0 is less than 1");
  EXPECT_EQ(problem("timeout: \"soon\""), ":1:1: timeout: \"soon\" is not a time such as 500ms, 60s, 10min or 1h");
  EXPECT_EQ(problem("prompt: \"\\377\""), ":1:1: prompt: is not UTF-8");
  EXPECT_EQ(problem("config: \"other\""), ":1:1: config belongs on the command line");
}

TEST(ConfigFile, RefusesWhatIsNoTextproto) {
  for (const std::string text :
       {"device: gpu", "seed: -1", "seed: 1.5", "height: \"64\"", "height", "{", "prompt: \"open",
        "height: 99999999999999999999", "[type.googleapis.com/flux.proto.Options] {}", "replicas: 99999999999",
        "overwrite: maybe", "\x01"}) {
    EXPECT_THAT(problem(text), StartsWith(":1:")) << text;
  }
  EXPECT_EQ(problem(std::string(2 << 20, ' ')),
            ": 2097152 bytes, at most 1048576 are accepted; --config takes a textproto of options");
  EXPECT_EQ(problem(""), "");
}

TEST(ConfigFile, IsReadFromAnyEditor) {
  EXPECT_EQ(problem("\xef\xbb\xbfwidth: 64\n"), "");
  EXPECT_EQ(problem("# a comment\rwidth: 64\rheight: 1\r"), ":3:1: height: 1 is less than 2");
  EXPECT_EQ(problem("# a comment\r\nwidth: 64\r\nheight: 1\r\n"), ":3:1: height: 1 is less than 2");
  EXPECT_EQ(problem(std::string("\xff\xfew\0i\0d\0", 8)), ": is UTF-16 or UTF-32; save it as UTF-8");
}

TEST(ConfigFile, NamesAFileThatIsNotThere) {
  Settings settings;
  const ScratchFolder folder;
  ASSERT_EQ(mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  EXPECT_THROW(settings.add_file(folder.path() / "pipe"), Invalid);
  EXPECT_THROW(settings.add_file("/dev/null"), Invalid);
  EXPECT_THROW(settings.add_file("/nowhere/at-all.textproto"), Invalid);
  EXPECT_THROW(settings.add_file("/tmp"), Invalid);
}

TEST(ConfigFile, PathsAreRelativeToIt) {
  const ScratchFolder folder;
  std::filesystem::create_directories(folder.path() / "configs/demo");
  folder.write("configs/d.textproto",
               "model: \"demo\"\nprompts: \"demo.txt\"\noutput_dir: \"../pictures\"\nlog_dir: \"/var/log/flux\"");
  Settings settings;
  settings.add_file(folder.path() / "configs/d.textproto");
  EXPECT_EQ(model_path(settings), folder.path() / "configs/demo");
  EXPECT_EQ(settings.text("prompts"), "\"" + (folder.path() / "configs/demo.txt").string() + "\"");
  EXPECT_EQ(output_options(settings).folder, folder.path() / "pictures");
  EXPECT_EQ(operation_options(settings).log_folder, "/var/log/flux");
}

TEST(ConfigFile, AFolderAboveALinkIsWhereTheSystemFindsIt) {
  const ScratchFolder folder;
  std::filesystem::create_directories(folder.path() / "real/inner");
  std::filesystem::create_directory(folder.path() / "real/demo");
  std::filesystem::create_directory_symlink("demo", folder.path() / "real/alias");
  std::filesystem::create_directory_symlink("real/inner", folder.path() / "link");
  folder.write("real/inner/c.textproto", "model: \"../demo/\" output_dir: \"../inner/../out\" log_dir: \"..\"");
  folder.write("d.textproto", "model: \"real/alias\" output_dir: \"link/../out\"");
  Settings settings, beside;
  settings.add_file(folder.path() / "link/c.textproto");
  EXPECT_EQ(model_path(settings), folder.path() / "real/demo");
  EXPECT_EQ(output_options(settings).folder, folder.path() / "real/out");
  EXPECT_EQ(operation_options(settings).log_folder, folder.path() / "real");
  beside.add_file(folder.path() / "d.textproto");
  EXPECT_EQ(model_path(beside), folder.path() / "real/alias") << "a model keeps the name that it was given";
  EXPECT_EQ(output_options(beside).folder, folder.path() / "real/out");
}

TEST(ConfigFile, AModelIdAndStandardInputStay) {
  const ScratchFolder folder;
  folder.write("d.textproto", "model: \"black-forest-labs/FLUX.1-dev\" prompts: \"-\"");
  Settings settings;
  settings.add_file(folder.path() / "d.textproto");
  EXPECT_EQ(model_path(settings), "black-forest-labs/FLUX.1-dev");
  EXPECT_EQ(settings.text("prompts"), "\"-\"");
}

}  // namespace
}  // namespace flux
