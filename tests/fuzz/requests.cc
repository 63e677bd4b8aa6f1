#include <sstream>

#include "runtime/journal.h"
#include "runtime/options/config_file.h"
#include "runtime/source/request_file.h"
#include "tests/fuzz/target.h"

namespace flux::fuzz {
namespace {

void read_as(const char* name, const std::string& bytes) {
  std::istringstream stream(bytes);
  read_requests(stream, name);
}

const Registered known({
    {"jsonl", Format::json, {}, [](const std::string& bytes) { read_as("prompts.jsonl", bytes); }},
    {"prompts", Format::lines, {"demo.txt"}, [](const std::string& bytes) { read_as("prompts.txt", bytes); }},
    {"textproto",
     Format::lines,
     {"demo.textproto"},
     [](const std::string& bytes) { read_config_file(written("config.textproto", bytes)); }},
    {"journal",
     Format::json,
     {},
     [](const std::string& bytes) { journaled_pictures(written("pictures/journal.jsonl", bytes).parent_path()); }},
});

}  // namespace
}  // namespace flux::fuzz
