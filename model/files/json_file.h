#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace flux {

/// A JSON object out of a file that nobody vouches for. Throws Invalid that names `file`: not valid JSON or UTF-8, not
/// an object, the same key twice, or nested deeper than the files of a checkpoint ever are.
nlohmann::json parse_json_object(std::string_view text, const std::string& file);

/// The whole file; larger than `limit` bytes is Invalid.
nlohmann::json read_json_object(const std::filesystem::path& file, int64_t limit = 1 << 20);

}  // namespace flux
