#include "runtime/sink/folder_lock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <optional>
#include <thread>

#include "tests/runtime/run_folder.h"

namespace flux {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

class FolderLockTest : public RunFolder {
 protected:
  /// What the one who wants the folder is told.
  std::string told() const {
    try {
      const FolderLock lock(path);
    } catch (const Invalid& error) {
      return error.what();
    }
    return "taken";
  }

  std::string told_owner(const FolderLock& owner) const {
    try {
      owner.require();
    } catch (const Aborted& error) {
      return error.what();
    }
    return "";
  }

  /// The lock of a run on another host, last touched so many seconds ago.
  void lock_elsewhere(int64_t number, int seconds_ago, const std::string& job = "") const {
    const std::string name = ".lock-" + std::to_string(number);
    write(name, R"({"host": "node7", "place": "node7 pid:[1]", "process": 1, "began": 5, "job": ")" + job +
                    R"(", "since": "2026-01-01T00:00:00Z"})");
    const timespec then{time(nullptr) - seconds_ago, 0};
    const timespec times[] = {then, then};
    utimensat(AT_FDCWD, (path / name).c_str(), times, 0);
  }
};

TEST_F(FolderLockTest, ASecondRunIsRefusedAndTheFirstIsNamed) {
  std::optional<FolderLock> lock(path);
  EXPECT_THAT(told(), HasSubstr("process " + std::to_string(getpid())));
  EXPECT_EQ(told_owner(*lock), "");
  lock.reset();
  EXPECT_THAT(names(), testing::IsEmpty());
  EXPECT_EQ(told(), "taken");
}

TEST_F(FolderLockTest, OfManyThatComeAtOnceOneGetsIt) {
  for (int round = 0; round < 20; ++round) {
    std::vector<std::optional<FolderLock>> locks(8);
    std::vector<std::jthread> threads;
    for (auto& lock : locks)
      threads.emplace_back([&] {
        try {
          lock.emplace(path);
        } catch (const Invalid&) {  // another was faster
        }
      });
    threads.clear();
    EXPECT_EQ(std::count_if(locks.begin(), locks.end(), [](const auto& lock) { return lock.has_value(); }), 1);
  }
}

TEST_F(FolderLockTest, AKilledOwnerOfThisHostIsNoOwner) {
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock lock(path);
    raise(SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_THAT(names(), UnorderedElementsAre(".lock-1"));
  const FolderLock lock(path);
  EXPECT_EQ(lock.number(), 2) << "higher than the one before";
  EXPECT_THAT(lock.taken_from(), HasSubstr("process " + std::to_string(child)));
  EXPECT_THAT(names(), UnorderedElementsAre(".lock-2"));
}

TEST_F(FolderLockTest, AKilledOwnerThatNobodyHasBuriedIsNoOwner) {
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock lock(path);
    raise(SIGKILL);
  }
  siginfo_t killed{};
  waitid(P_PID, static_cast<id_t>(child), &killed, WEXITED | WNOWAIT);
  EXPECT_EQ(told(), "taken");
  waitpid(child, nullptr, 0);
}

TEST_F(FolderLockTest, AnOwnerKilledBeforeItCouldSayWhoItIsIsWaitedForShortly) {
  write(".lock-3", "");
  const auto began = std::chrono::steady_clock::now();
  const FolderLock lock(path);
  EXPECT_EQ(lock.number(), 4);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
}

TEST_F(FolderLockTest, AnOwnerElsewhereIsAsked) {
  lock_elsewhere(3, 10);
  EXPECT_THAT(told(), HasSubstr("process 1 on node7"));
  lock_elsewhere(3, 70);
  EXPECT_EQ(told(), "taken") << "it has not shown life for a minute";
  EXPECT_THAT(names(), testing::IsEmpty());
}

TEST_F(FolderLockTest, AJobThatSlurmStartedAgainTakesItsOwnFolder) {
  lock_elsewhere(3, 1, "77");
  setenv("SLURM_JOB_ID", "77", 1);
  const std::string same = told();
  unsetenv("SLURM_JOB_ID");
  EXPECT_EQ(same, "taken");
}

TEST_F(FolderLockTest, AnOwnerThatSleptLearnsThatItLostTheFolder) {
  const FolderLock lock(path);
  lock_elsewhere(2, 0);
  EXPECT_THAT(told_owner(lock), HasSubstr("another run has taken this folder over"));
  std::filesystem::remove(path / ".lock-2");
  EXPECT_EQ(told_owner(lock), "");
}

TEST_F(FolderLockTest, AFolderThatIsRemovedIsNoticed) {
  const FolderLock lock(path);
  std::filesystem::remove_all(path);
  EXPECT_THAT(told_owner(lock), HasSubstr("the folder was removed"));
}

TEST_F(FolderLockTest, TheLastActOfAnEarlierRunLeavesALaterOneAlone) {
  std::function<void()> act;
  {
    const FolderLock lock(path);
    act = lock.last_act();
  }
  const FolderLock later(path);
  act();
  EXPECT_EQ(told_owner(later), "");
}

TEST_F(FolderLockTest, WhatIsNoLockOfOursIsNoOwner) {
  write(".lock-9x", "x");
  write(".lock-", "x");
  std::filesystem::create_directory(path / ".lock-4");
  EXPECT_THAT(told(), HasSubstr("another run draws into it (a job that had just begun)"));
}

}  // namespace
}  // namespace flux
