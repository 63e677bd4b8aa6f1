#pragma once

#include <filesystem>
#include <string_view>

namespace flux {

/// The file appears under its name only when all of it is on the disk: written beside (`.NAME.part`), synced, renamed.
/// Its mode follows the umask. Throws Invalid naming the file and what the system said (a full disk, no permission);
/// then nothing is left behind.
void write_new_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace flux
