#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/metrics.h"

namespace flux {

/// Metrics for a Prometheus that asks: http://ADDRESS/metrics, and /healthz, which answers as long as the process does.
class MetricsServer {
 public:
  using Say = std::function<void(const std::string&)>;

  /// `address`: host:port as parse_address gives it, port 0 for any that is free; empty: none. `tell` hears where it
  /// listens, `warn` why it does not: the run goes on without.
  MetricsServer(const std::string& address, const Metrics& metrics, const Say& tell, const Say& warn);
  ~MetricsServer();

 private:
  struct Listening;
  std::unique_ptr<Listening> listening_;
};

}  // namespace flux
