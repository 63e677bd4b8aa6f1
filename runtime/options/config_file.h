#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "runtime/options.pb.h"

namespace flux {

/// A textproto of options, read and checked.
struct ConfigFile {
  std::unique_ptr<proto::Options> options;
  std::map<std::string, std::string> origins;  // of the fields that are there: FILE:LINE
};

/// Relative paths in it become relative to its folder. Throws Invalid("FILE:LINE:COLUMN: what is wrong").
ConfigFile read_config_file(const std::filesystem::path& file);

}  // namespace flux
