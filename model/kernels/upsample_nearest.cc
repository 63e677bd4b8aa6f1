#include "model/kernels/upsample_nearest.h"

#include "built_with.h"

#if FLUX_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/upsample_nearest_cuda.h"
#endif

namespace flux {

at::Tensor upsample_nearest(const at::Tensor& map) {
#if FLUX_CUDA
  if (map.is_cuda()) {
    TORCH_CHECK(map.size(0) == 1, "one map at a time");
    const at::Tensor x = map.contiguous(at::MemoryFormat::ChannelsLast);
    const c10::cuda::CUDAGuard device(x.device());
    const at::Tensor out =
        at::empty({1, x.size(1), 2 * x.size(2), 2 * x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
    C10_CUDA_CHECK(launch_upsample_nearest(x.const_data_ptr(), out.data_ptr(), x.size(2), x.size(3),
                                           x.size(1) * static_cast<int64_t>(x.element_size()),
                                           c10::cuda::getCurrentCUDAStream()));
    return out;
  }
#endif
  return at::upsample_nearest2d(map, {2 * map.size(2), 2 * map.size(3)});
}

}  // namespace flux
