#include "runtime/sink/new_file.h"

#include <string>
#include <system_error>

#include "runtime/sink/descriptor.h"

namespace flux {

void write_new_file(const std::filesystem::path& path, std::string_view bytes) {
  const auto part = path.parent_path() / ("." + path.filename().string() + ".part");
  std::error_code ignored;
  try {
    Descriptor file(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
    file.write_all(bytes);
    file.sync();
    std::filesystem::rename(part, path);
  } catch (const std::filesystem::filesystem_error& error) {
    std::filesystem::remove(part, ignored);
    throw Invalid("cannot write " + path.string() + ": " + error.code().message());
  } catch (const Invalid&) {
    std::filesystem::remove(part, ignored);
    throw;
  }
}

}  // namespace flux
