#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace flux {

// Rows of a measurement as other programs read them. A row is an object of plain values; columns stand in the order in
// which they first come, and what a row lacks is left empty. `heading` holds for all rows.

/// A line of what the heading says, and a table as GitHub shows it, numbers to four digits.
std::string as_markdown(const nlohmann::ordered_json& heading, const std::vector<nlohmann::ordered_json>& rows);

/// With a header, quoted as RFC 4180 says, and the heading's values in every row.
std::string as_csv(const nlohmann::ordered_json& heading, const std::vector<nlohmann::ordered_json>& rows);

/// An object a line, which holds the heading too.
std::string as_json_lines(const nlohmann::ordered_json& heading, const std::vector<nlohmann::ordered_json>& rows);

}  // namespace flux
