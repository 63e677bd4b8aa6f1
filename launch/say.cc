#include "launch/say.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <system_error>
#include <vector>

#include "model/files/printable.h"
#include "parallel/rank/errors.h"
#include "runtime/sink/descriptor.h"
#include "runtime/terminal.h"

namespace flux {
namespace {

constexpr size_t longest_message = 1000;  // characters; it may hold a path and what a file says

/// %* in a pattern: the message as a terminal may see it, one line of bounded length.
class PrintableMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const std::string text = printable_line({message.payload.data(), message.payload.size()}, longest_message);
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return spdlog::details::make_unique<PrintableMessage>();
  }
};

std::unique_ptr<spdlog::formatter> formatter(int rank) {
  auto result = std::make_unique<spdlog::pattern_formatter>();
  result->add_flag<PrintableMessage>('*').set_pattern(fmt::format("[%H:%M:%S rank {} %l] %*", rank));
  return result;
}

/// A rank's log, begun anew. A link is not followed, nor is a pipe waited for: they are not what an earlier run left.
class LogFile : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LogFile(const std::filesystem::path& path)
      : file_(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    file_.write_all({line.data(), line.size()});
  }
  void flush_() override {}

 private:
  Descriptor file_;
};

spdlog::sink_ptr log_file(const std::filesystem::path& folder, int rank) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw Invalid(fmt::format("--log-dir: {} cannot be made: {}", folder.string(), failed.message()));
  const auto path = folder / fmt::format("rank-{:04}.log", rank);
  const auto status = std::filesystem::symlink_status(path, failed);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw Invalid(fmt::format("--log-dir: {} is not a regular file; remove it", path.string()));
  }
  try {
    return std::make_shared<LogFile>(path);
  } catch (const Invalid& error) {
    throw Invalid(fmt::format("--log-dir: {}", error.what()));
  }
}

}  // namespace

void start_logging(const OperationOptions& operation, int rank) {
  const auto level = spdlog::level::from_str(operation.log_level);
  const auto& terminal = Terminal::get();
  terminal->set_level(rank == 0 ? level : std::max(level, spdlog::level::warn));
  std::vector<spdlog::sink_ptr> sinks{terminal};
  if (!operation.log_folder.empty()) sinks.push_back(log_file(operation.log_folder, rank));
  auto logger = std::make_shared<spdlog::logger>("flux-dist", sinks.begin(), sinks.end());
  logger->set_formatter(formatter(rank));
  logger->set_level(level);
  logger->flush_on(spdlog::level::info);
  logger->set_error_handler([](const std::string& text) { say_error(text); });
  spdlog::set_default_logger(std::move(logger));
}

void say_error(std::string_view text) {
  Terminal::get()->line(fmt::format("flux-dist: error: {}", printable_line(text, longest_message)));
}

}  // namespace flux
