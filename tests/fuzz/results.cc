#include "runtime/bench/comparison.h"
#include "runtime/bench/simulation.h"
#include "runtime/card_steps.h"
#include "runtime/options/plain_text.h"
#include "runtime/source/trace_reader.h"
#include "tests/fuzz/target.h"

namespace flux::fuzz {
namespace {

const Registered known({
    {"results", Format::json, {}, [](const std::string& bytes) { read_results(written("results.jsonl", bytes)); }},
    {"stages", Format::json, {}, [](const std::string& bytes) { read_stages(written("results.jsonl", bytes)); }},
    {"card_steps", Format::json, {}, [](const std::string& bytes) { read_card_steps(written("steps.jsonl", bytes)); }},
    {"trace", Format::lines, {}, [](const std::string& bytes) { read_trace(plain_text(bytes), "trace.txt"); }},
});

}  // namespace
}  // namespace flux::fuzz
