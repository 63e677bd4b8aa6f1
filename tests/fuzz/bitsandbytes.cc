#include "model/checkpoint/bitsandbytes.h"

#include "tests/fuzz/target.h"

namespace flux::fuzz {
namespace {

const Registered known({
    {"quant_state",
     Format::json,
     {},
     [](const std::string& bytes) {
       parse_quant_state(bytes, {.format = flux::Format::nf4, .nested = true}, "fuzzed");
     }},
});

}  // namespace
}  // namespace flux::fuzz
