#include "launch/say.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>

#include "parallel/rank/errors.h"
#include "tests/model/checkpoint/scratch_folder.h"

namespace flux {
namespace {

using testing::HasSubstr;
using testing::Not;

/// What a file of an enemy may hold, and a library say of it.
const std::string hostile =
    "name \x1b[2J\x1b]0;title\x07\nflux-dist: error: forged \xe2\x80\xae\xc2\x9b" + std::string(100'000, 'x');

std::string said(const std::function<void()>& speak) {
  testing::internal::CaptureStderr();
  speak();
  return testing::internal::GetCapturedStderr();
}

void expect_one_short_harmless_line(const std::string& text) {
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_TRUE(text.ends_with("...\n"));
  EXPECT_LT(text.size(), 1200);
  for (const char* raw : {"\x1b", "\x07", "\xe2\x80\xae", "\xc2\x9b"}) EXPECT_THAT(text, Not(HasSubstr(raw)));
}

TEST(Say, AnErrorIsOneHarmlessLine) {
  expect_one_short_harmless_line(said([] { say_error(hostile); }));
}

TEST(Say, SoIsALineOfTheLog) {
  const ScratchFolder folder;
  const std::string terminal = said([&] {
    start_logging({.log_folder = folder.path()}, 0);
    spdlog::error("{}", hostile);
  });
  expect_one_short_harmless_line(terminal);
  std::ifstream file(folder.path() / "rank-0000.log");
  std::ostringstream log;
  log << file.rdbuf();
  EXPECT_EQ(log.str(), terminal);
  start_logging({}, 0);
}

TEST(Say, ALogIsBegunAnewInAFileOfItsOwn) {
  const ScratchFolder folder;
  const auto log = folder.write("rank-0003.log", "of an earlier run\n");
  start_logging({.log_folder = folder.path()}, 3);
  EXPECT_EQ(std::filesystem::file_size(log), 0);
  start_logging({}, 0);

  const auto refused = [&] {
    try {
      start_logging({.log_folder = folder.path()}, 3);
    } catch (const Invalid& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto target = folder.write("target", "precious");
  std::filesystem::remove(log);
  std::filesystem::create_symlink(target, log);
  EXPECT_THAT(refused(), HasSubstr("--log-dir: " + log.string() + " is not a regular file"));
  EXPECT_EQ(std::filesystem::file_size(target), 8);
  std::filesystem::remove(log);
  ASSERT_EQ(::mkfifo(log.c_str(), 0600), 0);
  EXPECT_THAT(refused(), HasSubstr("is not a regular file"));
  std::filesystem::remove(log);
  std::filesystem::create_directory(log);
  EXPECT_THAT(refused(), HasSubstr("is not a regular file"));
  std::filesystem::remove(log);
  EXPECT_EQ(refused(), "");
  start_logging({}, 0);
}

}  // namespace
}  // namespace flux
