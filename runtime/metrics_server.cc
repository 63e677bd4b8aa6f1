#include "runtime/metrics_server.h"

#include <fmt/format.h>
#include <httplib.h>

#include <chrono>
#include <thread>

#include "parallel/rank/thread_name.h"

namespace flux {
namespace {

constexpr size_t kThreads = 2;  // that answer: one who is slow keeps no other waiting
constexpr std::chrono::milliseconds kBetweenLooks{1};

/// Not the library's own, by which several programs may share a port.
void take_alone(socket_t socket) {
  const int yes = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
}

}  // namespace

struct MetricsServer::Listening {
  ~Listening() {
    server.stop();
    if (thread.joinable()) thread.join();
  }

  httplib::Server server;
  std::thread thread;
};

MetricsServer::MetricsServer(const std::string& address, const Metrics& metrics, const Say& tell, const Say& warn) {
  if (address.empty()) return;
  const size_t colon = address.rfind(':');
  const std::string named = address.substr(0, colon);
  const std::string host = named.front() == '[' ? named.substr(1, named.size() - 2) : named;
  int port = std::stoi(address.substr(colon + 1));

  auto listening = std::make_unique<Listening>();
  httplib::Server& server = listening->server;
  server.set_socket_options(take_alone);
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };  // the server's to delete
  server.Get("/metrics", [&metrics](const httplib::Request&, httplib::Response& response) {
    response.set_content(metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
  });
  server.Get("/healthz",
             [](const httplib::Request&, httplib::Response& response) { response.set_content("ok\n", "text/plain"); });
  if (port == 0)
    port = server.bind_to_any_port(host);
  else if (!server.bind_to_port(host, port))
    port = -1;
  if (port < 0) {
    warn(
        fmt::format("--metrics-address: cannot listen on {}: another program does, this host has no such address, or "
                    "the port is below 1024 and wants root; the run goes on without",
                    address));
    return;
  }
  listening->thread = std::thread([&server] {
    name_this_thread("metrics");
    server.listen_after_bind();
  });
  while (!server.is_running()) std::this_thread::sleep_for(kBetweenLooks);  // before, it could not be stopped
  tell(fmt::format("metrics at http://{}:{}/metrics", named, port));
  listening_ = std::move(listening);
}

MetricsServer::~MetricsServer() = default;

}  // namespace flux
