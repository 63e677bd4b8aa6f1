#include "runtime/options/command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "parallel/rank/errors.h"
#include "runtime/options/help.h"
#include "runtime/options/option.h"
#include "runtime/version.h"

namespace flux {
namespace {

std::string flag_names(const Option& option) {
  return (option.short_flag.empty() ? "" : "-" + option.short_flag + ",") + option.flag;
}

void add(CLI::App& app, const Option& option, std::string& text) {
  const std::string help = option.help + (option.default_text.empty() ? "" : " [" + option.default_text + "]");
  auto* added = option.yes_no ? app.add_flag(flag_names(option), text, help)
                              : app.add_option(flag_names(option), text, help)->type_name(option.metavar);
  added->group(option.group);
}

std::string one_line(std::string text) {
  text.erase(text.find_last_not_of('\n') + 1);
  std::ranges::replace(text, '\n', ' ');
  return text;
}

/// An argument that names an option of the verb.
struct Word {
  const Option* option = nullptr;    // none: it names none
  std::optional<std::string> value;  // where the same argument holds it: --height=64, -p=TEXT, -pTEXT
};

Word understood(const std::string& verb, const std::string& argument) {
  for (const Option& option : all_options()) {
    if (!option.belongs_to(verb)) continue;
    if (argument == option.flag) return {&option, {}};
    if (argument.starts_with(option.flag + "=")) return {&option, argument.substr(option.flag.size() + 1)};
    const std::string letter = "-" + option.short_flag;
    if (option.short_flag.empty() || !argument.starts_with(letter)) continue;
    if (argument == letter) return {&option, {}};
    return {&option, argument.substr(letter.size() + (argument[letter.size()] == '=' ? 1 : 0))};
  }
  return {};
}

// Left to itself CLI11 takes the argument after `--flag=` for its value, and after `--flag` whatever stands there.
constexpr std::string_view empty_value("\0", 1);  // in its place: no argument holds a NUL

/// Every option that has a value in the one form --flag=value.
std::vector<std::string> joined(const std::string& verb, const std::vector<std::string>& arguments) {
  std::vector<std::string> result;
  std::set<const Option*> seen;
  for (auto argument = arguments.begin(); argument != arguments.end(); ++argument) {
    auto [option, value] = understood(verb, *argument);
    if (option != nullptr && !seen.insert(option).second) throw Invalid(option->flag + ": is there twice");
    if (option == nullptr || (option->yes_no && !value)) {
      result.push_back(*argument);
      continue;
    }
    if (!value) {
      if (++argument == arguments.end()) throw Invalid(option->flag + ": its value is missing");
      if (argument->starts_with("--") && (*argument == "--help" || understood(verb, *argument).option != nullptr)) {
        throw Invalid(option->flag + ": its value is missing; write " + option->flag + "=" + *argument +
                      " if the next option is meant");
      }
      value = *argument;
    }
    result.push_back(option->flag + "=" + (value->empty() ? std::string(empty_value) : *value));
  }
  return result;
}

CommandLine read_verb(const std::string& verb, const std::vector<std::string>& words) {
  std::vector<std::string> arguments = joined(verb, words);
  CommandLine line{verb, {}, {}};
  CLI::App app(help_summary(verb), "flux-dist " + verb);
  app.get_formatter()->column_width(36);
  app.footer(help_footer(verb));
  std::map<std::string, std::string> texts;
  for (const Option& option : all_options()) {
    if (option.belongs_to(verb)) add(app, option, texts[option.name]);
  }
  app.set_help_flag("-h,--help", "this text")->group("Operation");  // last: groups stand in the order of first options
  std::ranges::reverse(arguments);                                  // CLI11 takes them from the back
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    line.answer = app.help();
  } catch (const CLI::ExtrasError&) {
    throw Invalid("flux-dist " + verb + ": " + app.remaining().front() + " is none of its options; see flux-dist " +
                  verb + " --help");
  } catch (const CLI::ParseError& error) {
    throw Invalid("flux-dist " + verb + ": " + one_line(error.what()));
  }
  for (const auto& [name, text] : texts) {
    if (app.count(find_option(name)->flag) > 0) line.values.emplace_back(name, text == empty_value ? "" : text);
  }
  return line;
}

/// `bench compare A B` is short for `bench --measure=compare --baseline=A --candidate=B`.
std::vector<std::string> with_names(std::vector<std::string> words) {
  std::vector<std::string> names = {"--measure="};
  if (!words.empty() && words.front() == "compare") names.insert(names.end(), {"--baseline=", "--candidate="});
  for (size_t i = 0; i < std::min(words.size(), names.size()) && !words[i].starts_with('-'); ++i)
    words[i].insert(0, names[i]);
  return words;
}

}  // namespace

CommandLine read_command_line(const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw Invalid("say what to do, such as generate; see flux-dist --help");
  const std::string& first = arguments.front();
  if (first == "--help" || first == "-h") return {"", {}, help_of_program()};
  if (first == "--version") return {"", {}, version_text()};
  if (std::ranges::find(all_verbs(), first) == all_verbs().end()) {
    throw Invalid(first + " is none of its verbs; see flux-dist --help");
  }
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  return read_verb(first, first == "bench" ? with_names(rest) : rest);
}

}  // namespace flux
