#pragma once

#include <string>
#include <vector>

#include "model/request.h"
#include "runtime/record.h"

namespace flux {

/// Where pictures go. Does its work behind the caller's back and says afterwards what became of it.
class Sink {
 public:
  /// What became of one picture: its file, on the disk, or why there is none.
  struct Written {
    int64_t picture = 0;
    std::string file;
    std::string error;
  };

  virtual ~Sink() = default;

  /// Does not wait. `record` has its prompt.
  virtual void put(const Record& record, Image image) = 0;

  /// No more pictures come: shows what became of all. Does not wait.
  virtual void finish(std::vector<Record> records) = 0;

  /// What was written since the last call, in any order.
  virtual std::vector<Written> take_written() = 0;

  /// After finish(): whether everything is done, and what went wrong with it (empty: nothing).
  virtual bool finished() const = 0;
  virtual std::string problem() const = 0;
};

}  // namespace flux
