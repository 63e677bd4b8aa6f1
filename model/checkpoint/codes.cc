#include "model/checkpoint/codes.h"

#include <cstdint>
#include <cstring>

#include "model/checkpoint/refuse_tensor.h"

namespace flux {
namespace {

constexpr uint64_t kOnes = 0x0101010101010101, kSigns = 0x80 * kOnes;

/// The signs of bytes that are 0x7f or 0xff, e4m3's only ones that are no numbers.
uint64_t no_numbers(uint64_t codes) { return (codes & (0x7f * kOnes)) + kOnes; }

/// The signs of bytes that are 0x80; maybe others too, where there is one.
uint64_t least_numbers(uint64_t codes) {
  const uint64_t zero = codes ^ kSigns;
  return (zero - kOnes) & ~zero;
}

/// Whether `look` finds something, eight at a time, since all of a file is asked.
template <typename Look>
bool any(const at::Tensor& codes, Look look) {
  constexpr int64_t together = sizeof(uint64_t);
  const auto* bytes = static_cast<const uint8_t*>(codes.const_data_ptr());
  const int64_t whole = codes.numel() / together * together;
  uint64_t found = 0, some = 0;
  for (int64_t at = 0; at < whole; at += together) {
    std::memcpy(&some, bytes + at, together);
    found |= look(some);
  }
  some = 0;
  if (whole < codes.numel()) std::memcpy(&some, bytes + whole, static_cast<size_t>(codes.numel() - whole));
  return ((found | look(some)) & kSigns) != 0;
}

}  // namespace

void require_codes(const TensorInfo& tensor, const at::Tensor& codes) {
  if (codes.scalar_type() == at::kFloat8_e4m3fn && any(codes, no_numbers))
    refuse_tensor(tensor, "holds what is no number; download it again");
  if (codes.scalar_type() == at::kChar && any(codes, least_numbers))
    refuse_tensor(tensor, "holds a code out of range; download it again");
}

}  // namespace flux
