#include "runtime/metrics_file.h"

#include <fmt/format.h>

#include <utility>

#include "parallel/rank/errors.h"
#include "runtime/sink/new_file.h"

namespace flux {
namespace {

constexpr Time kBetweenWrites{15'000};

}  // namespace

MetricsFile::MetricsFile(std::filesystem::path path, const Metrics& metrics, Warn warn)
    : path_(std::move(path)), metrics_(metrics), warn_(std::move(warn)) {
  if (path_.empty()) return;
  try {
    write_new_file(path_, metrics_.text());
  } catch (const Invalid& error) {
    throw Invalid(fmt::format("--metrics-file: {}", error.what()));
  }
}

void MetricsFile::on(Time now, const Event&) {
  if (now - written_ < kBetweenWrites) return;
  written_ = now;
  write();
}

void MetricsFile::finish() { write(); }

void MetricsFile::write() {
  if (path_.empty()) return;
  try {
    write_new_file(path_, metrics_.text());
  } catch (const Invalid& error) {
    warn_(fmt::format("--metrics-file: {}; the run goes on without", error.what()));
    path_.clear();
  }
}

}  // namespace flux
