#pragma once

namespace flux {

/// What happens to a product and its bias before they are rounded.
enum class Epilogue { none, gelu };  // gelu: the tanh approximation

}  // namespace flux
