#pragma once

#include "model/format.h"

namespace flux {

/// How the ranks of a replica share attention; a picture's bits do not depend on it. diffusers: ContextParallelConfig.
enum class ContextParallel {
  gather,   // every rank has the keys and values of all tokens, and attends with its own tokens' queries
  ulysses,  // every rank has some of the heads of all tokens, and attends with those (arXiv:2309.14509)
};

/// As --context-parallel has it.
constexpr const char* context_parallel_name(ContextParallel context) {
  return context == ContextParallel::gather ? "gather" : "ulysses";
}

/// What travels between the ranks of a replica.
struct Exchange {
  ContextParallel context = ContextParallel::gather;
  Format keys_values = Format::dense;  // dense, or int8 or fp8: rounded before they travel
  Format attention = Format::dense;    // dense, or fp8: codes travel, which are attended to (attention_codes.h)
};

}  // namespace flux
