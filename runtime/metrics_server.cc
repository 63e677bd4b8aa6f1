#include "runtime/metrics_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "model/files/printable.h"
#include "parallel/rank/errors.h"
#include "parallel/rank/thread_name.h"

namespace flux {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;
using Error = boost::system::error_code;
using Page = http::response<http::string_body>;

constexpr auto kPatience = 10s;  // with who asks
constexpr auto kAcceptPause = 100ms;
constexpr auto kSilent = 30s;
constexpr int kMostVisitors = 32;
constexpr size_t kMostHeaderBytes = 8192;

std::optional<uint16_t> port_of(const std::string& text) {
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && stop == end ? std::optional(port) : std::nullopt;
}

tcp::endpoint endpoint_of(const std::string& text) {
  if (const auto port = port_of(text)) return {asio::ip::address_v4::loopback(), *port};
  const size_t colon = text.rfind(':');
  if (colon != std::string::npos && colon > 0) {
    std::string host = text.substr(0, colon);
    if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    if (host == "localhost") host = "127.0.0.1";
    Error no_address;
    const asio::ip::address address = asio::ip::make_address(host, no_address);
    const auto port = port_of(text.substr(colon + 1));
    if (!no_address && port) return {address, *port};
  }
  throw Invalid(fmt::format("--metrics-address: {} is none such as 9400, 127.0.0.1:9400, [::1]:9400 or 0.0.0.0:9400",
                            printable_line(text, 60)));
}

std::string named(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return fmt::format("{}:{}", endpoint.address().is_v6() ? "[" + host + "]" : host, endpoint.port());
}

/// What is served, and from when on.
struct Served {
  const Metrics& metrics;
  std::atomic<SteadyClock::time_point> heard = SteadyClock::now();
  int visitors = 0;  // of the server's thread

  Page answer(const http::request<http::empty_body>& request) const {
    Page page(http::status::ok, request.version());
    page.keep_alive(request.keep_alive());
    page.set(http::field::content_type, "text/plain; charset=utf-8");
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      page.result(http::status::method_not_allowed);
      page.set(http::field::allow, "GET, HEAD");
    } else if (request.target() == "/metrics") {
      page.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
      page.body() = metrics.text();
    } else if (request.target() != "/healthz") {
      page.result(http::status::not_found);
      page.body() = "/metrics and /healthz are here\n";
    } else if (SteadyClock::now() - heard.load() > kSilent) {
      page.result(http::status::service_unavailable);
      page.body() = "the coordinator is silent\n";
    } else {
      page.body() = "ok\n";
    }
    page.prepare_payload();
    if (request.method() == http::verb::head) page.body().clear();
    return page;
  }
};

/// Until the other side leaves, is silent for too long or sends what is no request: then nothing holds this any more.
class Visitor : public std::enable_shared_from_this<Visitor> {
 public:
  Visitor(tcp::socket socket, Served& served) : served_(served), stream_(std::move(socket)), buffer_(kMostHeaderBytes) {
    ++served_.visitors;
  }
  ~Visitor() { --served_.visitors; }
  Visitor(const Visitor&) = delete;
  Visitor& operator=(const Visitor&) = delete;

  void read() {
    request_.emplace();
    stream_.expires_after(kPatience);
    http::async_read(stream_, buffer_, *request_, [self = shared_from_this()](Error error, size_t) {
      if (!error) self->answer();
    });
  }

 private:
  void answer() {
    page_ = served_.answer(request_->get());
    http::async_write(stream_, page_, [self = shared_from_this()](Error error, size_t) {
      if (!error && self->page_.keep_alive()) self->read();
    });
  }

  Served& served_;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::empty_body>> request_;
  Page page_;
};

}  // namespace

struct MetricsServer::Server {
  Server(const tcp::endpoint& endpoint, const Metrics& metrics)
      : served{metrics}, acceptor(context, endpoint), url("http://" + named(acceptor.local_endpoint()) + "/metrics") {
    welcome();
    thread = start_thread("metrics", [this] { context.run(); });
  }

  ~Server() {
    context.stop();
    thread.join();
  }

  void welcome() {
    acceptor.async_accept([this](Error error, tcp::socket socket) {
      if (error) return pause();  // no descriptors are left, say
      if (served.visitors < kMostVisitors) std::make_shared<Visitor>(std::move(socket), served)->read();
      welcome();
    });
  }

  void pause() {
    timer.expires_after(kAcceptPause);
    timer.async_wait([this](Error) { welcome(); });
  }

  Served served;  // first: visitors leave with the context
  asio::io_context context{1};
  asio::steady_timer timer{context};
  tcp::acceptor acceptor;
  const std::string url;
  std::thread thread;
};

MetricsServer::MetricsServer(const std::string& address, const Metrics& metrics, const Warn& warn) {
  if (address.empty()) return;
  const tcp::endpoint endpoint = endpoint_of(address);
  try {
    server_ = std::make_unique<Server>(endpoint, metrics);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::address_in_use) {
      warn(fmt::format("--metrics-address: {} is taken; the run goes on without (port 0 picks one that is free)",
                       named(endpoint)));
      return;
    }
    throw Invalid(fmt::format("--metrics-address: {}: {}{}", named(endpoint), error.code().message(),
                              error.code() == asio::error::access_denied ? "; ports from 1024 on need no rights" : ""));
  }
}

MetricsServer::~MetricsServer() = default;

void MetricsServer::on(Time, const Event&) {
  if (server_ != nullptr) server_->served.heard = SteadyClock::now();
}

std::string MetricsServer::url() const { return server_ == nullptr ? "" : server_->url; }

}  // namespace flux
