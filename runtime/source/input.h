#pragma once

#include <chrono>
#include <filesystem>
#include <istream>
#include <string>

#include "runtime/source/spool.h"
#include "runtime/warn.h"

namespace flux {

inline constexpr size_t largest_input = size_t{1} << 31;  // bytes

/// The text that a stream holds, as of PlainText. Throws Invalid("NAME: what is wrong") when reading fails, and for
/// over `most` bytes.
Spool read_stream(std::istream& stream, const std::string& name, size_t most = largest_input);

/// The same of a file, a device or a named pipe. A pipe that nobody writes to is waited for, which is said, and given
/// up after `patience`; so is one whose writer stops.
Spool read_input(const std::filesystem::path& path, std::chrono::milliseconds patience, const Warn& warn,
                 size_t most = largest_input);

}  // namespace flux
