#pragma once

#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/target.h"

namespace flux::fuzz {

using Random = std::mt19937_64;

/// Another input, near `bytes`: of their format most of the time, and then damaged a little. `others` lend it parts.
std::string mutated(const std::string& bytes, Format format, const std::vector<std::string>& others, Random& random);

/// One change that keeps the format; the bytes as they are where they have none.
std::string mutated_json(const std::string& bytes, Random& random);
std::string mutated_protobuf(const std::string& bytes, Random& random);
std::string mutated_lines(const std::string& bytes, const std::string& other, Random& random);
std::string mutated_bytes(std::string bytes, const std::string& other, Random& random);

/// 0 ... count - 1.
inline size_t pick(size_t count, Random& random) { return count < 2 ? 0 : random() % count; }

/// Numbers at which readers break: around powers of two, signs, zero.
uint64_t interesting_number(Random& random);

}  // namespace flux::fuzz
