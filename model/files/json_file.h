#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace flux {

/// A JSON object out of a file that nobody vouches for. Throws Invalid that names `file`: not valid JSON or UTF-8, not
/// an object, the same key twice, or nested deeper than the files of a checkpoint ever are.
nlohmann::json parse_json_object(std::string_view text, const std::string& file);

/// Gives the members of such an object one after the other and forgets each, so that what it takes is no more than the
/// text and a member. Two of the same name are not noticed; one of more than 16,384 values is Invalid.
void parse_members(std::string_view text, const std::string& file,
                   const std::function<void(const std::string& name, const nlohmann::json& value)>& take);

/// The whole file; larger than `limit` bytes is Invalid.
nlohmann::json read_json_object(const std::filesystem::path& file, int64_t limit = 1 << 20);

}  // namespace flux
