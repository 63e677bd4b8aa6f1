#include "runtime/sink/folder_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "parallel/rank/device.h"
#include "parallel/rank/errors.h"
#include "parallel/rank/thread_name.h"
#include "runtime/json_line.h"
#include "runtime/sink/descriptor.h"

namespace flux {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::string_view kPrefix = ".lock-";
constexpr std::string_view kClockPrefix = ".clock-";
constexpr auto kBetweenBeats = std::chrono::seconds(5);
constexpr double kStale = 60;    // seconds, on other hosts
constexpr double kToSayWho = 2;  // seconds from making the file; an owner that has not by then was killed before
constexpr int64_t kMaxLockBytes = 4096;  // bytes of a lock file

/// N of `.lock-N`.
std::optional<int64_t> number_of(const fs::path& file) {
  const std::string name = file.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t number = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, number);
  return error == std::errc() && stop == end && number > 0 ? std::optional(number) : std::nullopt;
}

fs::path file_of(const fs::path& folder, int64_t number) { return folder / fmt::format("{}{}", kPrefix, number); }

/// Nothing also where the folder is gone.
std::optional<int64_t> highest(const fs::path& folder) {
  std::optional<int64_t> number;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(folder, gone)) {
    const auto one = number_of(entry.path());
    if (one && (!number || *one > *number)) number = one;
  }
  return number;
}

/// When a process began, in the kernel's ticks: tells it from a later one of the same number. 0: there is none, or it
/// has ended and its parent has not yet asked how.
int64_t beginning_of(int64_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(text.substr(name_end + 1));
  std::string state, word;
  rest >> state;
  if (state == "Z" || state == "X") return 0;
  for (int field = 4; field < 22; ++field) rest >> word;  // proc(5): the 22nd is starttime
  int64_t began = 0;
  rest >> began;
  return began;
}

/// Process numbers mean the same to two processes on one host and in one namespace of them.
std::string place() {
  std::error_code ignored;
  return host_name() + " " + fs::read_symlink("/proc/self/ns/pid", ignored).string();
}

std::string job_of_environment() {
  const char* job = std::getenv("SLURM_JOB_ID");
  return job == nullptr ? "" : job;
}

std::string own_words() {
  return json_line(Json{{"host", host_name()},
                        {"place", place()},
                        {"process", getpid()},
                        {"began", beginning_of(getpid())},
                        {"job", job_of_environment()},
                        {"since", utc_now()}}) +
         "\n";
}

/// Seconds since the file was touched, by the clock of its file system.
double untouched_for(const fs::path& file) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) return 0;
  const fs::path probe = file.parent_path() / fmt::format("{}{}", kClockPrefix, getpid());
  struct stat now{};
  {
    const Descriptor clock(probe, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
    if (::stat(probe.c_str(), &now) != 0) now = status;
  }
  ::unlink(probe.c_str());
  return static_cast<double>(now.st_mtim.tv_sec - status.st_mtim.tv_sec);
}

struct Owner {
  std::string host, place, job, since;
  int64_t process = 0, began = 0;
};

/// Nothing where the file is gone, or not written yet.
std::optional<Owner> owner_of(const fs::path& file) {
  try {
    const Json json = Json::parse(read_whole_file(file, kMaxLockBytes));
    return Owner{json.at("host").get<std::string>(), json.at("place").get<std::string>(),
                 json.at("job").get<std::string>(),  json.at("since").get<std::string>(),
                 json.at("process").get<int64_t>(),  json.at("began").get<int64_t>()};
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

bool says_nothing(const fs::path& file) {
  std::error_code gone;
  return fs::is_regular_file(file, gone) && fs::file_size(file, gone) == 0;
}

/// A process of this host is there or it is not; one of another host shows life through the file system.
bool lives(const std::optional<Owner>& owner, const fs::path& file) {
  if (owner && owner->place == place()) return owner->began != 0 && beginning_of(owner->process) == owner->began;
  if (owner && !owner->job.empty() && owner->job == job_of_environment()) return false;  // this job, started again
  return untouched_for(file) < (says_nothing(file) ? kToSayWho : kStale);
}

std::string in_words(const std::optional<Owner>& owner) {
  if (!owner) return "a job that had just begun";
  return fmt::format("process {} on {}{}, since {}", owner->process, printable_line(owner->host),
                     owner->job.empty() ? "" : ", job " + printable_line(owner->job), printable_line(owner->since));
}

[[noreturn]] void refuse(const fs::path& folder, const std::optional<Owner>& owner) {
  throw Invalid(fmt::format("--output-dir {}: another run draws into it ({}): name another folder, or wait",
                            folder.string(), in_words(owner)));
}

}  // namespace

FolderLock::FolderLock(fs::path folder) : folder_(std::move(folder)) {
  take();
  heart_ = start_thread("folder lock", [this] { beat(); });
}

FolderLock::~FolderLock() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  heart_.join();
  release();
}

void FolderLock::take() {
  while (number_ == 0) {
    const auto last = highest(folder_);
    const auto owner_before = last ? owner_of(file_of(folder_, *last)) : std::nullopt;
    if (last) {
      const auto& owner = owner_before;
      if (lives(owner, file_of(folder_, *last))) {
        if (!says_nothing(file_of(folder_, *last))) refuse(folder_, owner);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        continue;
      }
    }
    const int64_t mine = last.value_or(0) + 1;
    const fs::path file = file_of(folder_, mine);
    // Exclusive: of several that find the same dead owner, one gets the next number.
    const int made = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (made < 0 && errno == EEXIST) continue;
    if (made < 0)
      throw Invalid(fmt::format("--output-dir {}: cannot be written: {}", folder_.string(), std::strerror(errno)));
    ::close(made);
    Descriptor(file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC).write_all(own_words());
    number_ = mine;
    if (last) taken_from_ = in_words(owner_before);
    *held_ = true;
    for (const auto& entry : fs::directory_iterator(folder_))
      if (const auto old = number_of(entry.path()); old && *old < mine) ::unlink(entry.path().c_str());
  }
}

void FolderLock::beat() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kBetweenBeats, [this] { return over_; }))
    ::utimensat(AT_FDCWD, file_of(folder_, number_).c_str(), nullptr,
                0);  // a folder that is gone is noticed by require()
}

void FolderLock::require() const {
  std::error_code gone;
  // Whoever takes over makes the next number, then removes this one.
  const bool mine = fs::exists(file_of(folder_, number_), gone) && !fs::exists(file_of(folder_, number_ + 1), gone);
  if (mine) return;
  if (!fs::exists(folder_, gone))
    throw Aborted(
        fmt::format("--output-dir {}: the folder was removed while pictures were drawn into it", folder_.string()));
  throw Aborted(fmt::format("--output-dir {}: another run has taken this folder over", folder_.string()));
}

std::function<void()> FolderLock::last_act() const {
  return [held = held_, file = file_of(folder_, number_)] {
    if (held->exchange(false)) ::unlink(file.c_str());
  };
}

bool FolderLock::is_lock(const fs::path& file) {
  return number_of(file).has_value() || file.filename().string().starts_with(kClockPrefix);
}

}  // namespace flux
