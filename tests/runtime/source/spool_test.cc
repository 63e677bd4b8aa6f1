#include "runtime/source/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>

#include "parallel/rank/errors.h"
#include "runtime/source/request_lines.h"
#include "tests/runtime/options/scratch_folder.h"

namespace flux {
namespace {

using ::testing::HasSubstr;

class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::filesystem::path& folder) { setenv("TMPDIR", folder.c_str(), 1); }
  ~TemporaryFolder() { unsetenv("TMPDIR"); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
};

int64_t files_in(const std::filesystem::path& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
}

TEST(Spool, GivesBackWhatItWasGiven) {
  const ScratchFolder folder;
  const TemporaryFolder temporary(folder.path());
  Spool spool;
  std::string all;
  for (int i = 0; i < 40'000; ++i) {
    const std::string piece = std::to_string(i) + std::string(static_cast<size_t>(i % 97), 'x');
    const size_t at = spool.size();
    spool.append(piece);
    all += piece;
    ASSERT_EQ(spool.read(at, piece.size()), piece);
  }
  EXPECT_EQ(spool.size(), all.size());
  EXPECT_EQ(spool.read(10, 3000), all.substr(10, 3000));
  EXPECT_TRUE(spool.text() == all);
  spool.append("more");
  EXPECT_TRUE(spool.text() == all + "more");
  EXPECT_EQ(files_in(folder.path()), 0);  // nothing to be left behind
}

TEST(Spool, AFewBytesNeedNoFile) {
  const TemporaryFolder temporary("/nowhere");
  Spool spool;
  spool.append("a red circle");
  EXPECT_EQ(spool.text(), "a red circle");
  EXPECT_EQ(spool.read(2, 3), "red");
}

TEST(Spool, AFolderThatTakesNothingIsNamed) {
  const TemporaryFolder temporary("/nowhere");
  try {
    Spool().append(std::string(2 << 20, 'x'));
    FAIL();
  } catch (const Invalid& error) {
    EXPECT_THAT(error.what(), HasSubstr("set TMPDIR to a folder with room"));
  }
}

TEST(RequestLines, ComeBackAsTheyWere) {
  RequestLines lines;
  for (int i = 0; i < 20'000; ++i) {
    RequestLine line{"prompts.jsonl:" + std::to_string(i), {}, i % 7 == 0 ? "is over 1 MiB" : ""};
    if (i % 3 != 0) line.options.set_prompt(std::string(100, 'x') + std::to_string(i) + std::string(1, '\0') + "y");
    if (i % 2 != 0) line.options.set_seed(static_cast<uint64_t>(i));
    lines.add(line);
  }
  ASSERT_EQ(lines.size(), 20'000);
  for (const size_t i : {19'999U, 0U, 1U, 7U, 12'345U, 18'000U}) {
    const RequestLine line = lines[i];
    EXPECT_EQ(line.origin, "prompts.jsonl:" + std::to_string(i));
    EXPECT_EQ(line.error.empty(), i % 7 != 0);
    EXPECT_EQ(line.options.prompt().size(), i % 3 != 0 ? 100 + std::to_string(i).size() + 2 : 0);
    EXPECT_EQ(line.options.seed(), i % 2 != 0 ? i : 0);
  }
}

}  // namespace
}  // namespace flux
