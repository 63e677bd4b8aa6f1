#include "runtime/sink/appended_file.h"

#include <string>

#include "runtime/sink/new_file.h"

namespace flux {

AppendedFile::AppendedFile(const std::filesystem::path& path)
    : file_(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC) {
  sync_folder(path.parent_path());
}

AppendedFile::AppendedFile(const std::filesystem::path& path, int64_t bytes)
    : file_(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC), bytes_(bytes) {
  file_.shorten(bytes);
}

void AppendedFile::append(std::string_view line) {
  const std::string whole = std::string(line) + "\n";
  try {
    file_.write_all(whole);
  } catch (const Invalid&) {
    file_.cut(bytes_);
    throw;
  }
  bytes_ += static_cast<int64_t>(whole.size());
}

}  // namespace flux
