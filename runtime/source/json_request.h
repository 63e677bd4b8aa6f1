#pragma once

#include <string_view>

#include "runtime/options.pb.h"

namespace flux {

/// One line of .jsonl: a flat object of the options that may differ from picture to picture.
/// Throws Invalid that says what is wrong, without file and line.
proto::Options read_json_request(std::string_view line);

}  // namespace flux
