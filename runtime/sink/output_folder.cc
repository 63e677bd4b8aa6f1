#include "runtime/sink/output_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <iomanip>
#include <sstream>
#include <system_error>

#include "parallel/rank/errors.h"
#include "runtime/journal_reader.h"
#include "runtime/sink/gallery.h"
#include "runtime/sink/new_file.h"

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

/// Of the run that the folder holds: what its journal names, and the files that every run has.
std::vector<std::string> previous_run(const OutputOptions& options) {
  const fs::path& folder = options.folder;
  try {
    for (const auto& entry : fs::directory_iterator(folder))
      if (!options.overwrite && !FolderLock::is_lock(entry.path()))
        refuse(folder, "is not empty: name another folder, or give --overwrite to replace the run that it holds");
  } catch (const fs::filesystem_error& unreadable) {
    refuse(folder, unreadable.code().message());
  }
  if (!options.overwrite) return {};
  for (const char* name : {kGalleryName, kJournalName}) require_replaceable(folder, name);
  std::vector<std::string> files = journaled_pictures(folder / kJournalName);
  for (const auto& file : files) require_replaceable(folder, file);
  files.emplace_back(kGalleryName);
  files.emplace_back(kJournalName);
  return files;
}

}  // namespace

OutputFolder::OutputFolder(const OutputOptions& options)
    : options_(options), made_(make(options.folder)), lock_(options.folder) {
  previous_ = previous_run(options_);
  const fs::path probe = options_.folder / ".writable";
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

std::string OutputFolder::file_name(int64_t picture, uint64_t seed) const {
  std::ostringstream name;
  name << std::setw(5) << std::setfill('0') << picture << '-' << seed
       << (options_.format == ImageFormat::png ? ".png" : ".jpg");
  return name.str();
}

}  // namespace flux
