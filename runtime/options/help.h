#pragma once

#include <string>
#include <string_view>

namespace flux {

std::string help_of_program();                    // flux-dist --help
std::string help_summary(std::string_view verb);  // above the options of a verb
std::string help_footer(std::string_view verb);   // below them: examples and exit codes

}  // namespace flux
