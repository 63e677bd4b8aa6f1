#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flux {

/// One option as runtime/options.proto declares it.
struct Option {
  std::string name;         // num_inference_steps: in --config and in .jsonl
  std::string flag;         // --num-inference-steps
  std::string environment;  // FLUX_DIST_NUM_INFERENCE_STEPS
  std::string short_flag;   // one letter or empty
  std::string help;
  std::string metavar;       // PIXELS, auto|cpu|cuda; empty for a yes or no
  std::string default_text;  // empty: none
  std::string group;         // heading in --help
  std::vector<std::string> verbs;
  std::vector<std::string> measures;  // of bench
  bool yes_no = false;                // a flag without a value
  bool per_request = false;           // may differ from picture to picture: allowed in .jsonl
  bool command_line_only = false;     // not allowed in --config

  bool belongs_to(std::string_view verb) const;
  bool belongs_to_measure(std::string_view measure) const;
};

/// All of them, in the order of options.proto.
const std::vector<Option>& all_options();

/// nullptr when there is no such option.
const Option* find_option(std::string_view name);

/// Every verb, in the order of options.proto.
const std::vector<std::string>& all_verbs();

}  // namespace flux
