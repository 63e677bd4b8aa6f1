#include "runtime/options/invocation.h"

#include <algorithm>
#include <functional>
#include <string_view>

#include "parallel/rank/errors.h"
#include "runtime/options.pb.h"
#include "runtime/options/command_line.h"
#include "runtime/options/option.h"

namespace flux {
namespace {

constexpr std::string_view prefix = "FLUX_DIST_";

void add_flags(Settings& settings, const CommandLine& line) {
  for (const auto& [name, text] : line.values) settings.set(name, text, find_option(name)->flag);
}

void add_environment(Settings& settings, const Environment& environment) {
  for (const auto& [variable, text] : environment) {
    if (text.empty()) continue;
    const auto option = std::ranges::find(all_options(), variable, &Option::environment);
    if (option == all_options().end()) throw Invalid(variable + ": there is no such option; unset it");
    settings.set(option->name, text, variable);
  }
}

/// Two options that exclude each other: the stronger layer decides.
struct Rivals {
  std::string one, other;
  std::string advice;
};

const std::vector<Rivals>& all_rivals() {
  static const std::vector<Rivals> all = {
      {"prompt", "prompts", "give one prompt, or a file of prompts, not both"},
      {"json", "output_format", "say once how results are printed"},
      {"resume", "overwrite", "draw what is missing, or everything anew, not both"},
  };
  return all;
}

bool in_force(const Settings& settings, const std::string& name) {
  return settings.has(name) && settings.text(name) != "false";
}

void add_layer(Settings& settings, const std::function<void()>& add) {
  const Settings before = Settings::deserialized(settings.serialized());
  add();
  for (const auto& [one, other, advice] : all_rivals()) {
    if (!in_force(settings, one) || !in_force(settings, other)) continue;
    const bool stronger = in_force(before, one);
    if (!stronger && !in_force(before, other))
      throw Invalid(settings.origin(one) + " and " + settings.origin(other) + ": " + advice);
    settings.clear(stronger ? other : one);
  }
}

/// What one of bench's measures does not look at is no option of it.
void demand_measure(const CommandLine& line, const std::string& measure) {
  for (const auto& [name, text] : line.values) {
    const Option& option = *find_option(name);
    if (option.belongs_to_measure(measure)) continue;
    std::string others;
    for (const std::string& other : option.measures) others += (others.empty() ? "" : " or bench ") + other;
    throw Invalid(option.flag + ": is none of the options of bench " + measure +
                  (others.empty() ? "" : "; it is for bench " + others));
  }
}

}  // namespace

Environment environment_of(char** environment) {
  Environment result;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    const size_t equals = entry.find('=');
    if (entry.starts_with(prefix) && equals != std::string_view::npos) {
      result.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
  }
  return result;
}

Invocation read_invocation(const std::vector<std::string>& arguments, const Environment& environment) {
  const CommandLine line = read_command_line(arguments);
  Invocation invocation{line.verb, {}, false, line.answer};
  if (!line.answer.empty()) return invocation;
  Settings& settings = invocation.settings;
  add_layer(settings, [&] { add_flags(settings, line); });
  add_layer(settings, [&] { add_environment(settings, environment); });
  if (line.verb == "bench") demand_measure(line, settings.text("measure"));
  if (settings.has("config")) add_layer(settings, [&] { settings.add_file(settings.message().config()); });
  if (line.verb == "generate") settings.set_default("output_dir", "pictures", "default");
  invocation.print_config = settings.message().print_config();
  return invocation;
}

}  // namespace flux
