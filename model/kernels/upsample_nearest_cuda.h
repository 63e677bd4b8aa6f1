#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace flux {

/// x: [height, width, pixel_bytes] to out: [2 height, 2 width, pixel_bytes], queued on the stream.
cudaError_t launch_upsample_nearest(const void* x, void* out, int64_t height, int64_t width, int64_t pixel_bytes,
                                    cudaStream_t stream);

}  // namespace flux
