#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace flux {

/// One line of JSON without its end; bytes that are no UTF-8 become U+FFFD.
std::string json_line(const nlohmann::ordered_json& json);

/// 2026-11-25T19:31:03Z
std::string utc_now();

}  // namespace flux
