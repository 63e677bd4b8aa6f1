#include <climits>

#include "model/kernels/vector.cuh"
#include "model/linear/eight_bit_kernels.h"

namespace flux {
namespace {

bool possible(const EightBitProductOnDevice& p) {
  const int64_t bytes = p.precision == Precision::fp32 ? 4 : 2;
  return p.rows > 0 && p.out > 0 && p.in > 0 && p.rows <= INT_MAX && p.out <= INT_MAX && p.in <= INT_MAX &&
         p.in % 16 == 0 && p.out % 8 == 0 && p.y_stride >= p.out && p.y_stride * bytes % 16 == 0 && aligned(p.x, 16) &&
         aligned(p.x_scales, sizeof(float)) && aligned(p.weight, 16) && aligned(p.weight_scales, 16) &&
         aligned(p.bias, 16) && aligned(p.y, 16) && !(p.gelu && p.precision == Precision::fp32);
}

}  // namespace

cudaError_t PreparedKernel::prepare(const void* kernel, int architecture, int shared_bytes, int* multiprocessors) {
  int card = 0;
  cudaError_t error = cudaGetDevice(&card);
  if (error != cudaSuccess) return error;
  const auto at = static_cast<size_t>(card);
  if (at < multiprocessors_.size() && (*multiprocessors = multiprocessors_[at]) != 0) return cudaSuccess;

  cudaFuncAttributes code{};
  error = cudaFuncGetAttributes(&code, kernel);
  if (error == cudaErrorInvalidDeviceFunction || error == cudaErrorNoKernelImageForDevice) {
    cudaGetLastError();  // it is not to be found by whoever asks next
    return cudaErrorNotSupported;
  }
  if (error != cudaSuccess) return error;
  if (code.ptxVersion < architecture) return cudaErrorNotSupported;
  error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(multiprocessors, cudaDevAttrMultiProcessorCount, card);
  if (error == cudaSuccess && at < multiprocessors_.size()) multiprocessors_[at] = *multiprocessors;
  return error;
}

int eight_bit_architecture(EightBit codes, const CompiledCode& code) {
#ifdef FLUX_HOPPER
  if (code.runs_on == 90) return 90;
#endif
  if (codes == EightBit::e4m3) return code.written_for >= 89 ? 89 : 0;
  return code.written_for >= 80 ? 80 : 75;
}

cudaError_t launch_eight_bit_product(const EightBitProductOnDevice& product, int architecture, cudaStream_t stream) {
  if (product.rows == 0) return cudaSuccess;
  if (!possible(product)) return cudaErrorInvalidValue;
  const bool integers = product.codes == EightBit::int8;
  switch (architecture) {
    case 75:
      return integers ? launch_int8_sm75(product, stream) : cudaErrorInvalidValue;
    case 80:
      return integers ? launch_int8_sm80(product, stream) : cudaErrorInvalidValue;
    case 89:
      return integers ? cudaErrorInvalidValue : launch_fp8_sm89(product, stream);
    case 90:
#ifdef FLUX_HOPPER
      return (integers ? launch_int8_sm90 : launch_fp8_sm90)(product, stream);
#else
      return cudaErrorNotSupported;
#endif
  }
  return cudaErrorInvalidValue;
}

}  // namespace flux
