#pragma once

namespace flux {

/// What is smaller is no outlier to LLM.int8: bitsandbytes' llm_int8_threshold.
constexpr float outlier_threshold = 6;

}  // namespace flux
