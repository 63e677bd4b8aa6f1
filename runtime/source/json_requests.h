#pragma once

#include <string>
#include <string_view>

#include "runtime/source/request_lines.h"

namespace flux {

/// What may stand between JSON's values, in a text whose lines end in line feeds.
inline constexpr std::string_view json_spaces = " \t\n";

/// The requests of a JSON text: objects of the options that may differ from picture to picture, one a line, pretty
/// printed or one after the other; or an array of such objects and of texts, each a prompt. A bad object comes back
/// with an error. Where the text as a whole is not JSON, a bad line does; where no line is, throws
/// Invalid("NAME:LINE: what is wrong").
RequestLines read_json_requests(std::string_view text, const std::string& name);

}  // namespace flux
