#include <sstream>

#include "runtime/journal_reader.h"
#include "runtime/options/config_file.h"
#include "runtime/options/invocation.h"
#include "runtime/past_run.h"
#include "runtime/source/model_defaults.h"
#include "runtime/source/source.h"
#include "tests/fuzz/target.h"

namespace flux::fuzz {
namespace {

/// Every request of a file of prompts, or of standard input, where there is no name to go by.
void read_requests_of(const std::string& prompts, const std::string& standard_input) {
  static const ModelFolder model(config("demo"));
  Settings settings = read_invocation({"generate", "--prompts", prompts, "--seed", "1"}, {}).settings;
  add_model_defaults(settings, model);
  add_noise_defaults(settings, model);
  std::istringstream stream(standard_input);
  const auto source = open_source(settings, model, stream, [](const std::string&) {});
  while (source->next()) {
  }
}

Target prompts(const std::string& name, const std::string& file, Format format, std::vector<std::string> seeds) {
  return {name, format, std::move(seeds),
          [file](const std::string& bytes) { read_requests_of(written(file, bytes).string(), ""); }};
}

const Registered known({
    prompts("jsonl", "prompts.jsonl", Format::json, {}),
    prompts("prompts", "prompts.txt", Format::lines, {"demo.txt"}),
    {"standard_input", Format::json, {}, [](const std::string& bytes) { read_requests_of("-", bytes); }},
    {"textproto",
     Format::lines,
     {"demo.textproto"},
     [](const std::string& bytes) { read_config_file(written("config.textproto", bytes)); }},
    {"journal",
     Format::json,
     {},
     [](const std::string& bytes) {
       journaled_pictures(written("journal.jsonl", bytes));
       const PastRun past(scratch());
     }},
});

}  // namespace
}  // namespace flux::fuzz
