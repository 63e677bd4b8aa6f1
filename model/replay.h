#pragma once

#include <functional>
#include <memory>

namespace flux {

/// Work that is the same every time, in memory that stays: on a card it is recorded once and then launched as a whole,
/// which costs the host next to nothing. The first time runs as it is, for libraries choose and connect then.
class Replay {
 public:
  /// `recordable`: whether everything in the work is queued on ATen's current stream of a card. Where that is the
  /// legacy default stream nothing is recorded.
  explicit Replay(bool recordable);
  ~Replay();

  void operator()(const std::function<void()>& work);

 private:
  struct Recording;

  bool recordable_;
  bool ran_ = false;
  std::unique_ptr<Recording> recording_;
};

}  // namespace flux
