#pragma once

#include <filesystem>
#include <string>

#include "runtime/metrics.h"
#include "runtime/warn.h"

namespace flux {

/// Metrics in a file that a textfile collector reads (node_exporter's --collector.textfile.directory): whole at any
/// time, written anew every few seconds and at the end.
class MetricsFile : public Listener {
 public:
  /// `warn`: of a file that cannot be written any more; the run goes on without. Throws Invalid for one that cannot be
  /// written at all. An empty path: no file.
  MetricsFile(std::filesystem::path path, const Metrics& metrics, Warn warn);

  void on(Time now, const Event& event) override;
  void finish();

 private:
  void write();

  std::filesystem::path path_;
  const Metrics& metrics_;
  const Warn warn_;
  Time written_{0};
};

}  // namespace flux
