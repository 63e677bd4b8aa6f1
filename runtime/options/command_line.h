#pragma once

#include <string>
#include <utility>
#include <vector>

namespace flux {

/// The words of a command line, sorted but not yet understood.
struct CommandLine {
  std::string verb;
  std::vector<std::pair<std::string, std::string>> values;  // name of the option, its text ("true" for a yes)
  std::string answer;  // not empty: what --help or --version prints, and then nothing is to be done
};

/// `arguments` without the program's name. Throws Invalid for what is no verb or no option of it.
CommandLine read_command_line(const std::vector<std::string>& arguments);

}  // namespace flux
