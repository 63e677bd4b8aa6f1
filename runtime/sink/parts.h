#pragma once

#include <cstdint>
#include <filesystem>

#include "runtime/record.h"

namespace flux {

/// Throws Invalid where the folder that is to hold so many parts (part-3-of-8) holds another run, or one in another
/// number of parts.
void require_room_for_parts(const std::filesystem::path& folder, int64_t parts);

/// index.html of that folder: all that the journals of its parts know by now. Jobs that end together write it one after
/// the other, so that the last has it all. Throws Invalid.
void write_gallery_of_parts(const std::filesystem::path& folder, int64_t parts, const RunFacts& facts);

}  // namespace flux
