#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace flux {

/// What one thread is to do next, put there by others. Unbounded: who puts, bounds.
template <typename Item>
class Inbox {
 public:
  void put(Item item) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      items_.push_back(std::move(item));
    }
    changed_.notify_one();
  }

  /// Waits; nothing after close(), once what was put before is taken.
  std::optional<Item> take() {
    std::unique_lock lock(mutex_);
    // wait() would ask for a libstdc++ as new as GCC 12, which nodes with glibc 2.34 lack.
    while (!changed_.wait_for(lock, std::chrono::hours(1), [this] { return closed_ || !items_.empty(); })) {
    }
    if (items_.empty()) return std::nullopt;
    Item item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

  /// As close(), and what was put before is dropped.
  void discard() {
    {
      const std::lock_guard lock(mutex_);
      items_.clear();
    }
    close();
  }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
  bool closed_ = false;
};

}  // namespace flux
