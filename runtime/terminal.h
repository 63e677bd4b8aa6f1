#pragma once

#include <spdlog/sinks/base_sink.h>

#include <memory>
#include <mutex>
#include <string>

namespace flux {

/// Standard error of this process: lines of the log, and below them a status line that is rewritten in place.
class Terminal : public spdlog::sinks::base_sink<std::mutex> {
 public:
  /// The one of this process.
  static const std::shared_ptr<Terminal>& get();

  /// Empty: takes it away.
  void status(const std::string& text);

  /// One line, whatever the log level.
  void line(const std::string& text);

 private:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override;
  void write_above_status(const std::string& text);

  std::string status_;  // on the screen
};

}  // namespace flux
