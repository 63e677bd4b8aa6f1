#pragma once

#include <stdexcept>
#include <string>

namespace flux {

/// What the user asked for, or a file they gave, cannot be used. The message names the file, tensor or flag and
/// says what to do. A program ends with exit code 2, or the one request fails alone.
class Invalid : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The job cannot go on because of a rank: it failed, or somebody called abort(). Exit code 3.
class Aborted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A rank did not answer in time. The message names the rank and the operation.
class TimedOut : public Aborted {
 public:
  using Aborted::Aborted;
};

}  // namespace flux
