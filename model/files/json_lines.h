#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace flux {

/// Visits every line that is not blank as parse_json_object reads it, with its place for messages, FILE:LINE. Returns
/// how many there were. A file of more than `limit` bytes is Invalid.
int64_t each_json_line(const std::filesystem::path& file, int64_t limit,
                       const std::function<void(const std::string& where, nlohmann::json json)>& visit);

}  // namespace flux
