#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>

#include "model/checkpoint/safetensors.h"
#include "parallel/rank/errors.h"

// Of AddressSanitizer, which Debian's compiler has without the header that declares them.
extern "C" size_t __sanitizer_get_allocated_size(const volatile void* memory);
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*of_malloc)(const volatile void*, size_t),
                                                         void (*of_free)(const volatile void*));

namespace flux {
namespace {

std::atomic<int64_t> held = 0, most_held = 0;  // bytes that malloc gave out since reset

void counted(const volatile void* memory, size_t) {
  held += static_cast<int64_t>(__sanitizer_get_allocated_size(memory));
  most_held = std::max(most_held.load(), held.load());
}

void discounted(const volatile void* memory) {
  if (memory != nullptr) held -= static_cast<int64_t>(__sanitizer_get_allocated_size(memory));
}

/// What reading a header asks for at most, the header included, in its own size. Of buffers that double less is
/// touched.
double memory_for(const std::string& header, int64_t data_bytes) {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(counted, discounted);
  EXPECT_NE(installed, 0);
  held = most_held = 0;
  try {
    parse_safetensors_header(header, data_bytes, "/models/flux/transformer/diffusion_pytorch_model.safetensors");
  } catch (const Invalid&) {  // not for want of memory
  }
  const auto size = static_cast<double>(header.size());
  return (size + static_cast<double>(most_held)) / size;
}

constexpr int kTensors = 30'000;

/// Entries as `entry` writes the number `i` of them, each a byte of data.
std::string header_of(const std::function<std::string(int i)>& entry) {
  std::string header = "{";
  for (int i = 0; i < kTensors; ++i) header += (i == 0 ? "" : ",") + entry(i);
  return header + "}";
}

TEST(HeaderMemory, OfManyTensorsIsAFewTimesTheHeader) {
  const std::string usual = header_of([](int i) {
    return fmt::format(
        R"("transformer_blocks.{}.attn.to_q.weight":{{"dtype":"F8_E4M3","shape":[1,1],"data_offsets":[{},{}]}})", i, i,
        i + 1);
  });
  EXPECT_LT(memory_for(usual, kTensors), 4);
  const std::string short_names = header_of(
      [](int i) { return fmt::format(R"("{:x}":{{"dtype":"U8","shape":[],"data_offsets":[{},{}]}})", i, i, i + 1); });
  EXPECT_LT(memory_for(short_names, kTensors), 5);
}

TEST(HeaderMemory, OfWhatNobodyReadsIsNoMore) {
  std::string values = "0";
  for (int i = 0; i < 1'000'000; ++i) values += ",0";
  const std::string text(2'000'000, 'x');
  std::string pairs = R"("k":"")";
  for (int i = 0; i < 200'000; ++i) pairs += fmt::format(R"(,"{:x}":"")", i);
  for (const std::string& header :
       {R"({"a":{"more":[)" + values + "]}}", "{\"a\":[" + values + "]}", "{\"__metadata__\":{" + pairs + "}}",
        "{\"" + text + "\":{}}", R"({"__metadata__":{"k":")" + text + "\"}}"})
    EXPECT_LT(memory_for(header, 0), 6) << header.substr(0, 40);
}

}  // namespace
}  // namespace flux
