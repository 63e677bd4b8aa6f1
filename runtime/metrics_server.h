#pragma once

#include <memory>
#include <string>

#include "runtime/metrics.h"
#include "runtime/warn.h"

namespace flux {

/// Metrics for a Prometheus that asks for them: GET /metrics in its text format, and GET /healthz, which is 503 once
/// the coordinator has been silent for half a minute. On a thread of its own; who is slow, or sends what is no request,
/// is left.
class MetricsServer : public Listener {
 public:
  /// `address`: 127.0.0.1:9400, [::1]:9400, or a port alone, which is the loopback's; port 0 is any that is free. An
  /// empty one: nobody is served. `warn`: of a port that is taken; the run goes on without. Throws Invalid for an
  /// address that is none, or that this process may not have.
  MetricsServer(const std::string& address, const Metrics& metrics, const Warn& warn);
  ~MetricsServer() override;

  void on(Time now, const Event& event) override;

  /// http://127.0.0.1:40831/metrics; empty when nobody is served.
  std::string url() const;

 private:
  struct Server;
  std::unique_ptr<Server> server_;
};

}  // namespace flux
