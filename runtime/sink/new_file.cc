#include "runtime/sink/new_file.h"

#include <unistd.h>

#include <string>
#include <system_error>

#include "runtime/sink/descriptor.h"

namespace flux {

void write_new_file(const std::filesystem::path& path, std::string_view bytes) {
  const auto part = part_of(path);
  ::unlink(part.c_str());  // left by a run that was killed, or not even a file
  std::error_code ignored;
  try {
    Descriptor file(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC);
    file.write_all(bytes);
    file.sync();
    std::filesystem::rename(part, path);
    sync_folder(path.parent_path());
  } catch (const std::filesystem::filesystem_error& error) {
    std::filesystem::remove(part, ignored);
    throw Invalid("cannot write " + path.string() + ": " + error.code().message());
  } catch (const Invalid&) {
    std::filesystem::remove(part, ignored);
    throw;
  }
}

std::filesystem::path part_of(const std::filesystem::path& path) {
  return path.parent_path() / ("." + path.filename().string() + ".part");
}

bool is_part(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') && name.ends_with(".part");
}

void sync_folder(const std::filesystem::path& folder) {
  Descriptor(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC).sync();
}

}  // namespace flux
