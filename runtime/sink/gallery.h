#pragma once

#include <string>
#include <vector>

#include "runtime/record.h"

namespace flux {

inline constexpr const char* kGalleryName = "index.html";

/// One page of HTML that shows all pictures, in parts of a hundred, without a server or a script. What came from
/// prompts is escaped.
std::string gallery(const std::vector<Record>& records, const RunFacts& facts);

}  // namespace flux
