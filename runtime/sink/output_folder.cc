#include "runtime/sink/output_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iomanip>
#include <sstream>
#include <system_error>

#include "parallel/rank/errors.h"
#include "runtime/journal_reader.h"
#include "runtime/sink/gallery.h"
#include "runtime/sink/new_file.h"
#include "runtime/sink/parts.h"
#include "runtime/warn.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& folder, const std::string& why) {
  throw Invalid("--output-dir " + folder.string() + ": " + why);
}

/// True when it was not there.
bool make(const fs::path& folder) {
  if (folder.empty()) throw Invalid("--output-dir is empty: name a folder");
  std::error_code error;
  const bool made = fs::create_directories(folder, error);
  std::error_code absent;
  if (!fs::is_directory(folder, absent))
    refuse(folder, "cannot make this folder" + (error ? ": " + error.message() : ", there is a file of that name"));
  return made;
}

/// That another could be written over it, found out without doing so.
void require_replaceable(const fs::path& folder, const std::string& name) {
  struct stat file{}, parent{};
  const fs::path path = folder / name;
  if (::lstat(path.c_str(), &file) != 0 || ::stat(folder.c_str(), &parent) != 0) return;
  if (!S_ISREG(file.st_mode) && !S_ISLNK(file.st_mode))
    refuse(folder, name + " is no file; move it away, or name another folder");
  const uid_t me = ::geteuid();
  if ((parent.st_mode & S_ISVTX) != 0 && me != 0 && file.st_uid != me && parent.st_uid != me)
    refuse(folder, name + " belongs to another user; name another folder");
}

constexpr const char* kProbeName = ".writable";

/// What a run that is killed as it starts leaves hidden.
bool is_left_over(const fs::path& file) {
  return FolderLock::is_lock(file) || is_part(file) || file.filename() == kProbeName;
}

/// Whether the folder holds anything else.
bool holds_anything(const fs::path& folder) {
  try {
    for (const auto& entry : fs::directory_iterator(folder))
      if (!is_left_over(entry.path())) return true;
  } catch (const fs::filesystem_error& unreadable) {
    refuse(folder, unreadable.code().message());
  }
  return false;
}

bool holds_a_journal(const fs::path& folder) {
  struct stat journal{};
  return ::lstat((folder / kJournalName).c_str(), &journal) == 0;
}

std::optional<PastRun> run_to_resume(const OutputOptions& options) {
  if (options.previous != Previous::resume || !holds_anything(options.folder)) return std::nullopt;
  if (!holds_a_journal(options.folder))
    refuse(options.folder, fmt::format("holds no {} of a run to resume; name another folder", kJournalName));
  require_replaceable(options.folder, kJournalName);
  return PastRun(options.folder);
}

const char* image_extension(ImageFormat format) { return format == ImageFormat::png ? ".png" : ".jpg"; }

/// The files that go when the new run begins.
std::vector<std::string> files_that_go(const OutputOptions& options, const std::optional<PastRun>& past) {
  const fs::path& folder = options.folder;
  if (options.previous == Previous::refuse && holds_anything(folder))
    refuse(folder,
           "is not empty: name another folder, or give --resume to go on with the run that it holds, or --overwrite to "
           "replace it");
  std::vector<std::string> files;
  if (past) files.assign(past->unfinished().begin(), past->unfinished().end());
  if (options.previous == Previous::overwrite) {
    require_replaceable(folder, kJournalName);
    files = journaled_pictures(folder / kJournalName);
    files.emplace_back(kGalleryName);
    files.emplace_back(kJournalName);
  }
  require_replaceable(folder, kGalleryName);
  for (const auto& file : files) require_replaceable(folder, file);
  return files;
}

}  // namespace

OutputFolder::OutputFolder(const OutputOptions& options)
    : options_(options),
      made_(make(options.folder)),
      lock_(options.folder),
      past_(run_to_resume(options)),
      previous_(files_that_go(options, past_)) {
  const std::optional<ImageFormat> before = past_ ? past_->format() : std::nullopt;
  format_ = options.format.value_or(before.value_or(ImageFormat::png));
  if (before && before != format_)
    log_warning(fmt::format("--format: pictures that were drawn before are {} and stay so", image_extension(*before)));
  if (!options_.part.whole()) require_room_for_parts(options_.folder.parent_path(), options_.part.of);
  const fs::path probe = options_.folder / kProbeName;
  write_new_file(probe, "?");
  std::error_code error;
  fs::remove(probe, error);
}

OutputFolder::~OutputFolder() {
  lock_.release();
  std::error_code not_empty;
  if (made_ && !begun_) fs::remove(options_.folder, not_empty);  // nothing came of it
}

void OutputFolder::clear_previous_run() {
  begun_ = true;
  for (const auto& file : previous_) {
    for (const fs::path& path : {path() / file, part_of(path() / file)}) {
      std::error_code error;
      fs::remove(path, error);
      if (error) throw Invalid("cannot remove " + path.string() + ": " + error.message());
    }
  }
  previous_.clear();
}

std::function<void()> OutputFolder::last_act() const {
  return [folder = path(), give_up = lock_.last_act()] {
    std::error_code gone;
    for (const auto& entry : fs::directory_iterator(folder, gone))
      if (is_part(entry.path())) ::unlink(entry.path().c_str());
    give_up();
  };
}

std::string OutputFolder::file_name(int64_t picture, uint64_t seed, const std::string& id) const {
  std::ostringstream name;
  name << std::setw(5) << std::setfill('0') << picture << '-' << seed << (id.empty() ? "" : "-") << id
       << image_extension(format_);
  return name.str();
}

}  // namespace flux
