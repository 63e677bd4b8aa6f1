#pragma once

#include <filesystem>
#include <string_view>

namespace flux {

/// The file appears under its name only when all of it is on the disk: written beside, synced, renamed, and the folder
/// synced. Its mode follows the umask. Throws Invalid naming the file and what the system said (a full disk, no
/// permission); then nothing is left behind.
void write_new_file(const std::filesystem::path& path, std::string_view bytes);

/// Where it is written until then: `.NAME.part`.
std::filesystem::path part_of(const std::filesystem::path& path);
bool is_part(const std::filesystem::path& path);

/// Puts the names of a folder on the disk. Throws Invalid.
void sync_folder(const std::filesystem::path& folder);

}  // namespace flux
