#include "runtime/sink/output_folder.h"

#include <iomanip>
#include <sstream>
#include <system_error>

#include "parallel/rank/errors.h"
#include "runtime/journal.h"
#include "runtime/sink/gallery.h"
#include "runtime/sink/new_file.h"

namespace flux {

OutputFolder::OutputFolder(const OutputOptions& options) : options_(options) {
  if (options_.folder.empty()) throw Invalid("--output-dir is empty: name a folder");
  std::error_code error;
  std::filesystem::create_directories(options_.folder, error);
  std::error_code absent;
  if (!std::filesystem::is_directory(options_.folder, absent))
    throw Invalid("--output-dir " + options_.folder.string() + ": cannot make this folder" +
                  (error ? ": " + error.message() : ", there is a file of that name"));
  try {
    const bool empty = std::filesystem::is_empty(options_.folder);
    if (!empty && !options_.overwrite)
      throw Invalid("--output-dir " + options_.folder.string() +
                    " is not empty: name another folder, or give --overwrite to replace the run that it holds");
  } catch (const std::filesystem::filesystem_error& unreadable) {
    throw Invalid("--output-dir " + options_.folder.string() + ": " + unreadable.code().message());
  }
  const auto probe = options_.folder / ".writable";
  write_new_file(probe, "?");
  std::filesystem::remove(probe, error);
}

void OutputFolder::clear_previous_run() const {
  for (const auto& file : journaled_pictures(path())) std::filesystem::remove(path() / file);
  for (const char* file : {kGalleryName, Journal::kName}) std::filesystem::remove(path() / file);
}

std::string OutputFolder::file_name(const Job& job) const {
  std::ostringstream name;
  name << std::setw(5) << std::setfill('0') << job.index << '-' << job.prompt.picture.seed
       << (options_.format == ImageFormat::png ? ".png" : ".jpg");
  return name.str();
}

}  // namespace flux
