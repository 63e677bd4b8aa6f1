#include "model/reproducible_arithmetic.h"

#include <ATen/Context.h>

/// mkl_cbwr_set of the MKL within libtorch; absent where libtorch was built with another BLAS.
extern "C" [[gnu::weak]] int mkl_serv_cbwr_set(int mode);

namespace flux {

void demand_reproducible_arithmetic() {
  constexpr int automatic = 2, strict = 0x10000;  // MKL_CBWR_AUTO, MKL_CBWR_STRICT
  auto& context = at::globalContext();
  context.setAllowTF32CuBLAS(false);
  context.setAllowTF32CuDNN(false);
  context.setAllowFP16ReductionCuBLAS(false);
  context.setAllowBF16ReductionCuBLAS(false);
  if (mkl_serv_cbwr_set != nullptr) mkl_serv_cbwr_set(automatic | strict);
}

}  // namespace flux
