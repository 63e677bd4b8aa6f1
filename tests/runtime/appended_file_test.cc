#include "runtime/sink/appended_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "parallel/rank/errors.h"
#include "tests/runtime/options/scratch_folder.h"

namespace flux {
namespace {

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Whether the file system took it: only root may, and not everywhere.
bool set_append_only(const std::filesystem::path& path, bool on) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  int flags = 0;
  bool set = ioctl(file, FS_IOC_GETFLAGS, &flags) == 0;
  flags = on ? flags | FS_APPEND_FL : flags & ~FS_APPEND_FL;
  set = set && ioctl(file, FS_IOC_SETFLAGS, &flags) == 0;
  close(file);
  return set;
}

class AppendedLines : public testing::Test {
 protected:
  const ScratchFolder folder_;
  const std::filesystem::path path_ = folder_.write("journal.jsonl", "one\ntw");
};

TEST_F(AppendedLines, GoOnAfterTheLastWholeLine) {
  AppendedFile(path_, 4).append("three");
  EXPECT_EQ(content(path_), "one\nthree\n");
}

/// Whatever came next would be glued to half a line.
TEST_F(AppendedLines, AreRefusedWhereHalfALineStays) {
  if (!set_append_only(path_, true)) GTEST_SKIP() << "no append-only files here";
  std::string problem;
  try {
    AppendedFile(path_, 4).append("three");
  } catch (const Invalid& error) {
    problem = error.what();
  }
  AppendedFile(path_, 6).append("o");  // nothing need be cut
  set_append_only(path_, false);
  EXPECT_NE(problem.find("cannot shorten " + path_.string()), std::string::npos) << problem;
  EXPECT_EQ(content(path_), "one\ntwo\n");
}

}  // namespace
}  // namespace flux
