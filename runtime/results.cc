#include "runtime/results.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "parallel/rank/thread_name.h"
#include "runtime/json_line.h"

namespace flux {
namespace {

/// The system's error, or 0.
int write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace

Results::Results(RunFacts facts, std::filesystem::path folder, bool json)
    : facts_(std::move(facts)),
      folder_(std::move(folder)),
      json_(json),
      thread_(start_thread("results", [this] { print(); })) {}

Results::~Results() { finish(); }

void Results::on(Time, const Record& record) {
  const std::string path = record.drawn() ? (folder_ / record.file).string() : "";
  if (!json_ && !record.drawn()) return;
  ++heard_;
  if (!json_) return lines_.put(path + "\n");
  auto json = nlohmann::ordered_json::parse(record_json(record, facts_));
  if (record.drawn()) json["path"] = path;
  lines_.put(json_line(json) + "\n");
}

std::string Results::finish() {
  lines_.close();
  if (thread_.joinable()) thread_.join();
  return problem_;
}

void Results::print() {
  int error = 0;  // after one nothing more is tried
  while (const auto line = lines_.take()) {
    if (error == 0) error = write_all(*line);
    ++printed_;
  }
  if (error != 0 && error != EPIPE)
    problem_ = std::string("results cannot be written to standard output: ") + std::strerror(error);
}

}  // namespace flux
