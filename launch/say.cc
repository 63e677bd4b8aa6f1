#include "launch/say.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "model/files/printable.h"
#include "parallel/rank/errors.h"
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

spdlog::sink_ptr log_file(const std::filesystem::path& folder, int rank) {
  try {
    std::filesystem::create_directories(folder);
    const auto file = folder / fmt::format("rank-{:04}.log", rank);
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string(), /*truncate=*/true);
  } catch (const std::exception& error) {
    throw Invalid(fmt::format("--log-dir: {} cannot be written: {}", folder.string(), error.what()));
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
  spdlog::set_default_logger(std::move(logger));
}

void say_error(std::string_view text) {
  Terminal::get()->line(fmt::format("flux-dist: error: {}", printable_line(text, longest_message)));
}

}  // namespace flux
