#include <gmock/gmock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mutex>

#include "runtime/journal.h"
#include "runtime/sink/new_file.h"
#include "tests/runtime/run_folder.h"

namespace flux {
namespace {

std::mutex mutex;
std::vector<std::filesystem::path> synced;  // since this was last asked

std::vector<std::filesystem::path> take_synced() {
  const std::lock_guard lock(mutex);
  return std::exchange(synced, {});
}

}  // namespace
}  // namespace flux

/// In the place of the C library's: what is put on the disk is taken down besides.
extern "C" int fsync(int descriptor) {
  std::error_code unknown;
  const auto file = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), unknown);
  {
    const std::lock_guard lock(flux::mutex);
    flux::synced.push_back(file);
  }
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}

namespace flux {
namespace {

using testing::ElementsAre;

class OnTheDisk : public RunFolder {
 protected:
  OnTheDisk() { take_synced(); }
};

TEST_F(OnTheDisk, IsAFileAndThenItsName) {
  write_new_file(path / "a.png", "a picture");
  EXPECT_THAT(take_synced(), ElementsAre(path / ".a.png.part", path));
}

TEST_F(OnTheDisk, IsTheNameOfTheJournalAndEveryPictureThatIsDone) {
  OutputFolder folder({path, ImageFormat::png});
  Journal journal(folder, one_rank());
  take_synced();
  journal.on(Time{0}, Command(command::Begin{}));
  EXPECT_THAT(take_synced(), testing::Contains(path));
  Record record = drawn(0, "a cat");
  record.file = "00000-7.png";
  journal.on(Time{1}, record);
  EXPECT_THAT(take_synced(), ElementsAre(path / "journal.jsonl"));
}

}  // namespace
}  // namespace flux
