#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "parallel/rank/device.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

/// As nvidia-smi writes it.
std::string written(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

[[noreturn]] void refuse_driver(int newest_cuda) {
  const std::string release = driver_release();
  throw Invalid(
      fmt::format("the NVIDIA driver of {} is too old: it is {}, for CUDA {}.{}; CUDA {}.{} needs 580 or newer",
                  host_name(), release.empty() ? "of an unknown release" : release, newest_cuda / 1000,
                  newest_cuda % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10));
}

}  // namespace

std::vector<Card> visible_cards() {
  int newest_cuda = 0;  // that the driver serves; 0 without one
  if (cudaDriverGetVersion(&newest_cuda) != cudaSuccess || newest_cuda == 0) return {};
  if (newest_cuda / 1000 < CUDART_VERSION / 1000) refuse_driver(newest_cuda);
  int count = 0;
  const cudaError_t failed = cudaGetDeviceCount(&count);
  if (failed == cudaErrorNoDevice) return {};
  if (failed != cudaSuccess)
    throw Invalid(fmt::format("the cards of {} cannot be used: {}", host_name(), cudaGetErrorString(failed)));
  std::vector<Card> cards;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp card{};
    if (const cudaError_t error = cudaGetDeviceProperties(&card, index); error != cudaSuccess)
      throw Invalid(fmt::format("card {} of {} cannot be used: {}", index, host_name(), cudaGetErrorString(error)));
    cards.push_back({index, written(card.uuid), card.name, 10 * card.major + card.minor,
                     static_cast<int64_t>(card.totalGlobalMem)});
  }
  return cards;
}

}  // namespace flux
