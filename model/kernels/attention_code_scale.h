#pragma once

namespace flux {

/// What a value is multiplied with before attention in fp8 rounds it to e4m3.
constexpr float attention_code_scale = 4;

/// And one of the softmax's weights, of which the largest is 1.
constexpr float attention_weight_scale = 448;

}  // namespace flux
