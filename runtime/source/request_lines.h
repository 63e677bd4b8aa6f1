#pragma once

#include <vector>

#include "runtime/source/request_line.h"
#include "runtime/source/spool.h"

namespace flux {

/// Up to a million lines, of which memory holds 8 bytes each.
class RequestLines {
 public:
  /// Throws Invalid naming the line that is one too many.
  void add(const RequestLine& line);
  size_t size() const { return begins_.size(); }
  bool empty() const { return begins_.empty(); }
  RequestLine operator[](size_t number) const;

 private:
  Spool spool_;
  std::vector<size_t> begins_;
};

}  // namespace flux
