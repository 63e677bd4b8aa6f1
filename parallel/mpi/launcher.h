#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace flux {

/// The variables that a process was started with: what its launcher says to it. getenv would be no way to read one's
/// own: MPI_Init changes them on a thread of its own.
class ProcessEnvironment {
 public:
  explicit ProcessEnvironment(const std::string& process);  // its number, or "self"

  bool empty() const { return text_.size() <= 1; }  // also where it may not be read
  /// Takes no memory for a short value: who is out of it says which rank it is.
  std::optional<std::string> operator()(std::string_view variable) const;

 private:
  std::string text_;  // NAME=value, a zero before each
};

/// This process's, read once.
const ProcessEnvironment& own_environment();

/// Which rank a launcher made of the process.
std::optional<int> rank_in(const ProcessEnvironment& environment);

}  // namespace flux
