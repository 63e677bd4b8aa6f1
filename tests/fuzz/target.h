#pragma once

// A fuzz target is a file tests/fuzz/NAME.cc: a reader of bytes that nobody vouches for, called with whatever the
// fuzzer makes up. It may refuse them with Invalid, and nothing else may happen: no crash, no other exception, nothing
// slow or huge. tests/fuzz/corpus/NAME holds bytes to begin from, and every input that ever broke the reader.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace flux::fuzz {

/// How the bytes are built, so that what is made of them gets past the parser.
enum class Format { lines, json, protobuf };

struct Target {
  std::string name;
  Format format;
  std::vector<std::string> seeds;  // files of configs/ to begin from, beside those of corpus/NAME
  std::function<void(const std::string& bytes)> read;
};

/// At namespace scope: makes targets known to the program.
class Registered {
 public:
  explicit Registered(std::vector<Target> targets);
};

/// All that are known, in no order.
std::vector<Target>& targets();

/// A folder of this process for readers of files, deleted at its end.
const std::filesystem::path& scratch();

/// Writes scratch()/name and returns its path.
std::filesystem::path written(const std::string& name, const std::string& bytes);

/// A file of configs/ in the sources.
std::filesystem::path config(const std::string& name);

}  // namespace flux::fuzz
