#include "runtime/terminal.h"

#include <cstdio>

namespace flux {
namespace {

constexpr const char* kErased = "\r\033[K";

}  // namespace

const std::shared_ptr<Terminal>& Terminal::get() {
  static const auto terminal = std::make_shared<Terminal>();
  return terminal;
}

void Terminal::status(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (text.empty() && status_.empty()) return;
  status_ = text;
  std::fputs((kErased + status_).c_str(), stderr);
  std::fflush(stderr);
}

void Terminal::line(const std::string& text) {
  const std::lock_guard lock(mutex_);
  write_above_status(text + "\n");
}

void Terminal::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t formatted;
  formatter_->format(message, formatted);
  write_above_status({formatted.data(), formatted.size()});
}

void Terminal::flush_() { std::fflush(stderr); }

/// In one piece, so that lines of several ranks do not mix.
void Terminal::write_above_status(const std::string& text) {
  std::fputs((status_.empty() ? text : kErased + text + status_).c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace flux
