#pragma once

#include <chrono>
#include <filesystem>
#include <istream>
#include <string>

#include "runtime/source/picture_size.h"

namespace flux {

/// Everything that a stream holds, in bounded memory. Throws Invalid when reading fails or it is over 256 MiB.
std::string read_stream(std::istream& stream, const std::string& name);

/// The same of a file, a device or a named pipe. A pipe that nobody writes to is waited for, which is said, and given
/// up after `patience`. Throws Invalid("what is wrong").
std::string read_input(const std::filesystem::path& path, std::chrono::milliseconds patience, const Warn& warn);

}  // namespace flux
