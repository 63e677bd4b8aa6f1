#include "runtime/source/input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "parallel/rank/errors.h"
#include "tests/runtime/options/scratch_folder.h"

namespace flux {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Outcome {
  std::string bytes, refusal;
  std::vector<std::string> warnings;
};

Outcome read(const std::filesystem::path& path, milliseconds patience = milliseconds(100)) {
  Outcome outcome;
  try {
    const Warn warn = [&](const std::string& text) { outcome.warnings.push_back(text); };
    outcome.bytes = read_input(path, patience, warn, size_t{8} << 20).text();
  } catch (const Invalid& error) {
    outcome.refusal = error.what();
  }
  return outcome;
}

TEST(Input, AFileIsReadWhole) {
  const ScratchFolder folder;
  const std::string text(5'000'000, 'x');
  EXPECT_EQ(read(folder.write("a.txt", text)).bytes, text);
  EXPECT_EQ(read("/dev/null").bytes, "");
  EXPECT_THAT(read("/nowhere/a.txt").refusal, "/nowhere/a.txt: cannot be read: No such file or directory");
  EXPECT_THAT(read(folder.path()).refusal, HasSubstr("cannot be read: Is a directory"));
  EXPECT_THAT(read(folder.write("b.txt", text + text)).refusal, HasSubstr("b.txt: is over 8 MiB; split it"));
  EXPECT_EQ(read("/dev/zero").refusal, "/dev/zero: is over 8 MiB; split it");
}

TEST(Input, APipeThatNobodyWritesToIsNamedAndGivenUp) {
  const ScratchFolder folder;
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const Outcome outcome = read(pipe);
  EXPECT_THAT(outcome.warnings, ElementsAre(pipe.string() + ": a named pipe; waiting for what is written to it"));
  EXPECT_THAT(outcome.refusal, HasSubstr("nobody has written to this named pipe"));
}

TEST(Input, APipeWhoseWriterHangsIsNamedAndGivenUp) {
  const ScratchFolder folder;
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::fstream writer(pipe);  // both ends: opened at once
  writer << "one\n" << std::flush;
  EXPECT_THAT(read(pipe).refusal, HasSubstr("who writes to this named pipe has been silent for 0.1 s"));
}

TEST(Input, APipeIsReadUntilItsWriterIsGone) {
  const ScratchFolder folder;
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] {
    std::ofstream stream(pipe);
    stream << "one\n" << std::flush;
    std::this_thread::sleep_for(milliseconds(50));
    stream << "two\n";
  });
  const Outcome outcome = read(pipe, milliseconds(60'000));
  writer.join();
  EXPECT_EQ(outcome.bytes, "one\ntwo\n");
  EXPECT_EQ(outcome.refusal, "");
}

TEST(Input, AStreamThatFailsHasNotEnded) {
  std::istringstream good("one\ntwo");
  EXPECT_EQ(read_stream(good, "stdin").text(), "one\ntwo");
  class Failing : public std::streambuf {
    int_type underflow() override { throw std::runtime_error("the disk is gone"); }
  };
  Failing buffer;
  std::istream bad(&buffer);
  EXPECT_THROW(read_stream(bad, "stdin"), Invalid);
}

}  // namespace
}  // namespace flux
