#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>

#include "runtime/inbox.h"
#include "runtime/run_log.h"

namespace flux {

/// Names every finished picture on standard output, a line each, on a thread of its own: nobody waits for whoever
/// reads them. A reader that goes away is no error, the pictures go on.
class Results : public Listener {
 public:
  /// `json`: every picture and failure as the journal has it, beside the path.
  Results(RunFacts facts, std::filesystem::path folder, bool json);
  ~Results() override;

  void on(Time, const Record& record) override;

  bool settled() const override { return printed_ == heard_; }

  /// Waits until everything is printed. What went wrong; empty: nothing.
  std::string finish();

 private:
  void print();

  const RunFacts facts_;
  const std::filesystem::path folder_;
  const bool json_;
  Inbox<std::string> lines_;
  int64_t heard_ = 0;                 // lines
  std::atomic<int64_t> printed_ = 0;  // lines, or dropped
  std::string problem_;               // of the thread, until it is joined
  std::thread thread_;
};

}  // namespace flux
