#include "runtime/progress.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>

#include "model/files/printable.h"
#include "parallel/world.h"

namespace flux {
namespace {

constexpr auto kBetweenLines = std::chrono::seconds(10);
constexpr auto kBetweenBars = std::chrono::milliseconds(200);
constexpr int kBarWidth = 30;

/// Under mpirun nobody knows whether somebody looks on.
ProgressStyle resolved(ProgressStyle style) {
  if (style != ProgressStyle::automatic) return style;
  return isatty(STDERR_FILENO) && launched_ranks() == 1 ? ProgressStyle::bar : ProgressStyle::lines;
}

}  // namespace

Progress::Progress(ProgressStyle style, int64_t pictures) : style_(resolved(style)), pictures_(pictures) {}

void Progress::loaded() {
  const std::lock_guard lock(mutex_);
  drawing_began_ = shown_ = Clock::now();
  if (style_ == ProgressStyle::bar) draw_bar();
  if (style_ != ProgressStyle::none) spdlog::info("loaded in {:.1f} s", seconds());
}

void Progress::step(int replica, int64_t step, int64_t steps) {
  const std::lock_guard lock(mutex_);
  steps_[replica] = steps > 0 ? fmt::format("{}/{}", step, steps) : "";
}

void Progress::recorded(const Record& record) {
  const std::lock_guard lock(mutex_);
  clear_bar();
  if (!record.drawn()) {
    ++failed_;
    spdlog::error("{}: {}", printable_line(record.job.origin), printable_line(record.error, 1000));
  } else {
    ++drawn_;
  }
  if (style_ == ProgressStyle::lines && record.drawn())
    spdlog::info("{}: encoded in {:.2f} s, denoised in {:.2f} s, decoded in {:.2f} s", record.file,
                 record.seconds.encode, record.seconds.denoise, record.seconds.decode);
}

void Progress::show() {
  const std::lock_guard lock(mutex_);
  if (style_ == ProgressStyle::bar) draw_bar();
}

void Progress::tick() {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (style_ == ProgressStyle::bar && now - shown_ >= kBetweenBars) {
    shown_ = now;
    draw_bar();
  }
  if (style_ == ProgressStyle::lines && now - shown_ >= kBetweenLines) {
    shown_ = now;
    spdlog::info("{}", state());
  }
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  clear_bar();
  const double each =
      drawn_ > 0 ? std::chrono::duration<double>(Clock::now() - drawing_began_).count() / static_cast<double>(drawn_)
                 : 0;
  spdlog::info("{} of {} pictures drawn in {:.1f} s{}{}", drawn_, pictures_, seconds(),
               drawn_ > 0 ? fmt::format(", {:.2f} s a picture once loaded", each) : "",
               failed_ > 0 ? fmt::format(", {} failed", failed_) : "");
}

int64_t Progress::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

std::string Progress::state() const {
  std::string text = fmt::format("{} of {} pictures", drawn_ + failed_, pictures_);
  if (failed_ > 0) text += fmt::format(", {} failed", failed_);
  for (const auto& [replica, steps] : steps_)
    if (!steps.empty())
      text += steps_.size() > 1 ? fmt::format(", replica {} step {}", replica, steps) : ", step " + steps;
  if (drawn_ > 0) {
    const double each =
        std::chrono::duration<double>(Clock::now() - drawing_began_).count() / static_cast<double>(drawn_);
    text += fmt::format(", {:.0f} s left", each * static_cast<double>(pictures_ - drawn_ - failed_));
  }
  return text;
}

void Progress::draw_bar() {
  const auto filled = pictures_ > 0 ? kBarWidth * (drawn_ + failed_) / pictures_ : 0;
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '.');
  fmt::print(stderr, "\r\033[K[{}] {}", bar, state());
  std::fflush(stderr);
  bar_on_screen_ = true;
}

void Progress::clear_bar() {
  if (!bar_on_screen_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  bar_on_screen_ = false;
}

}  // namespace flux
