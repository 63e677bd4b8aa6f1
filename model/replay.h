#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <set>

namespace flux {

/// Work that is the same every time, in memory that stays: on a card it is recorded once and then launched as a whole,
/// which costs the host next to nothing. Of works that differ in a shape the last few are kept. Each runs as it is the
/// first time, for libraries choose and connect then.
class Replay {
 public:
  using Shape = std::array<int64_t, 4>;

  /// `recordable`: whether everything in the work is queued on ATen's current stream of a card. Where that is the
  /// legacy default stream nothing is recorded.
  explicit Replay(bool recordable);
  ~Replay();

  /// Calls of one shape do the same to the same memory. A work that cannot be recorded says so in what it throws.
  void operator()(const Shape& shape, const std::function<void()>& work);

  /// How often a recording was launched.
  int64_t launches() const { return launches_; }

 private:
  struct Recording;

  static constexpr size_t kept = 4;

  bool recordable_;
  int64_t launches_ = 0;
  std::set<Shape> ran_;
  std::list<std::pair<Shape, std::shared_ptr<Recording>>> recordings_;  // the last used first
};

}  // namespace flux
