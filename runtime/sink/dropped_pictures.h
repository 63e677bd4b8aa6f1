#pragma once

#include <utility>
#include <vector>

#include "runtime/sink/sink.h"

namespace flux {

/// Pictures that nobody keeps: each counts as written once it is here. For measurements of all that comes before.
class DroppedPictures : public Sink {
 public:
  void put(const Record& record, Image) override { dropped_.push_back({record.picture, "", ""}); }
  void finish(std::vector<Record>) override {}
  std::vector<Written> take_written() override { return std::exchange(dropped_, {}); }
  bool finished() const override { return true; }
  std::string problem() const override { return ""; }

 private:
  std::vector<Written> dropped_;
};

}  // namespace flux
