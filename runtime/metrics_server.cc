#include "runtime/metrics_server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "model/files/printable.h"
#include "parallel/rank/errors.h"
#include "parallel/rank/thread_name.h"

namespace flux {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::use_awaitable;
using asio::ip::tcp;
using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;
using Page = http::response<http::string_body>;

constexpr auto kPatience = 10s;  // with who asks
constexpr auto kAcceptPause = 100ms;
constexpr auto kSilent = 30s;
constexpr int kMostVisitors = 32;
constexpr size_t kMostHeaderBytes = 8192;

std::optional<uint16_t> port_of(std::string_view text) {
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
    boost::system::error_code no_address;
    const asio::ip::address address = asio::ip::make_address(host, no_address);
    const auto port = port_of(std::string_view(text).substr(colon + 1));
    if (!no_address && port) return {address, *port};
  }
  throw Invalid(fmt::format("--metrics-address: {} is none such as 9400, 127.0.0.1:9400, [::1]:9400 or 0.0.0.0:9400",
                            printable_line(text, 60)));
}

std::string named(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return fmt::format("{}:{}", endpoint.address().is_v6() ? "[" + host + "]" : host, endpoint.port());
}

struct Visit {
  explicit Visit(int& of) : visitors(of) { ++visitors; }
  ~Visit() { --visitors; }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  int& visitors;
};

}  // namespace

struct MetricsServer::Server {
  Server(const tcp::endpoint& endpoint, const Metrics& shown) : metrics(shown), acceptor(context, endpoint) {
    url = fmt::format("http://{}/metrics", named(acceptor.local_endpoint()));
    asio::co_spawn(context, welcome(), asio::detached);
    thread = std::thread([this] {
      name_this_thread("metrics");
      context.run();
    });
  }

  ~Server() {
    context.stop();
    thread.join();
  }

  asio::awaitable<void> welcome() {
    while (true) {
      boost::system::error_code error;
      tcp::socket visitor = co_await acceptor.async_accept(asio::redirect_error(use_awaitable, error));
      if (error) {  // no descriptors are left, say
        co_await asio::steady_timer(context, kAcceptPause).async_wait(use_awaitable);
      } else if (visitors < kMostVisitors) {
        asio::co_spawn(context, serve(std::move(visitor)), asio::detached);
      }
    }
  }

  /// Until the visitor leaves, is silent for too long or sends what is no request: all of them are exceptions.
  asio::awaitable<void> serve(tcp::socket socket) {
    const Visit visit(visitors);
    boost::beast::tcp_stream stream(std::move(socket));
    boost::beast::flat_buffer buffer(kMostHeaderBytes);
    bool stays = true;
    while (stays) {
      stream.expires_after(kPatience);
      http::request_parser<http::empty_body> request;
      co_await http::async_read(stream, buffer, request, use_awaitable);
      Page page = answer(request.get());
      stays = page.keep_alive();
      http::response_serializer<http::string_body> serializer(page);
      serializer.split(true);
      co_await http::async_write_header(stream, serializer, use_awaitable);
      if (request.get().method() != http::verb::head) co_await http::async_write(stream, serializer, use_awaitable);
    }
    stream.socket().shutdown(tcp::socket::shutdown_send);
  }

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
    return page;
  }

  const Metrics& metrics;
  std::atomic<SteadyClock::time_point> heard = SteadyClock::now();
  int visitors = 0;
  asio::io_context context{1};
  tcp::acceptor acceptor;
  std::string url;
  std::thread thread;
};

MetricsServer::MetricsServer(const std::string& address, const Metrics& metrics,
                             const std::function<void(const std::string&)>& warn) {
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
  if (server_ != nullptr) server_->heard = SteadyClock::now();
}

std::string MetricsServer::url() const { return server_ == nullptr ? "" : server_->url; }

}  // namespace flux
