#pragma once

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "runtime/record.h"
#include "runtime/scheduler.h"
#include "runtime/source/source.h"

namespace flux {

/// What a listener does with each kind of event or command that it cares for: for std::visit.
template <typename... Kinds>
struct Overloaded : Kinds... {
  using Kinds::operator()...;
};

inline double in_seconds(Time time) { return std::chrono::duration<double>(time).count(); }

/// Hears what happens in a run, in the order in which it happens, on the coordinator's thread: progress, journal,
/// results. Does not wait for anything but the disk.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on(Time, const Event&) {}
  virtual void on(Time, const Command&) {}
  virtual void on(Time, const Request&) {}  // is about to be handed to a rank
  virtual void on(Time, const Record&) {}   // its file is on the disk, or it failed

  /// Whether everything heard is dealt with.
  virtual bool settled() const { return true; }
};

/// The one tap on what the scheduler is told and commands.
class RunLog {
 public:
  explicit RunLog(std::vector<Listener*> listeners) : listeners_(std::move(listeners)) {}

  template <typename Entry>
  void note(Time time, const Entry& entry) {
    for (Listener* listener : listeners_) listener->on(time, entry);
  }

  bool settled() const {
    return std::all_of(listeners_.begin(), listeners_.end(), [](const Listener* each) { return each->settled(); });
  }

 private:
  std::vector<Listener*> listeners_;
};

}  // namespace flux
