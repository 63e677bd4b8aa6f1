#pragma once

namespace flux {

/// For the whole process; call it before any stage is built, and before the first matrix product. Forbids what CUDA
/// libraries do where they are allowed to (round fp32 inputs to TF32, sum 16-bit products in 16 bit), and what MKL does
/// on processors of Intel's: choose the order of a product's sums by its number of rows, which a cut changes.
void demand_reproducible_arithmetic();

}  // namespace flux
