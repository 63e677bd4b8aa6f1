#include "runtime/progress.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <variant>

#include "parallel/world.h"
#include "runtime/terminal.h"

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

Progress::Progress(ProgressStyle style, int64_t pictures, int64_t there, const Placement& placement)
    : style_(resolved(style)), pictures_(pictures), there_(there), placement_(placement) {}

void Progress::on(Time, const Event& event) {
  const auto* alive = std::get_if<event::Alive>(&event);
  if (alive == nullptr || placement_.ranks[alive->rank].position != 0) return;
  steps_[placement_.ranks[alive->rank].replica] =
      alive->steps > 0 ? fmt::format("{}/{}", alive->step, alive->steps) : "";
}

void Progress::on(Time, const Command& command) {
  if (!std::holds_alternative<command::Begin>(command)) return;
  drawing_began_ = shown_ = Clock::now();
  if (style_ == ProgressStyle::none) return;
  spdlog::info("loaded in {:.1f} s", seconds());
  if (style_ == ProgressStyle::bar) draw_bar();
}

void Progress::on(Time, const Record& record) {
  if (!record.drawn()) {
    ++failed_;
    spdlog::error("{}: {}", record.origin, record.error);
    return;
  }
  ++drawn_;
  if (style_ == ProgressStyle::lines)
    spdlog::info("{}: encoded in {:.2f} s, denoised in {:.2f} s, decoded in {:.2f} s", record.file,
                 record.seconds.encode, record.seconds.denoise, record.seconds.decode);
}

void Progress::tick() {
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
  if (style_ == ProgressStyle::bar) Terminal::get()->status("");
  spdlog::info("{} of {} pictures drawn in {:.1f} s{}{}{}", drawn_, pictures_ - there_, seconds(),
               drawn_ > 0 ? fmt::format(", {:.2f} s a picture once loaded", seconds_a_picture()) : "",
               failed_ > 0 ? fmt::format(", {} failed", failed_) : "",
               there_ > 0 ? fmt::format("; {} were there", there_) : "");
}

double Progress::seconds_a_picture() const {
  return std::chrono::duration<double>(Clock::now() - drawing_began_).count() / static_cast<double>(drawn_);
}

std::string Progress::state() const {
  std::string text = fmt::format("{} of {} pictures", finished(), pictures_);
  if (failed_ > 0) text += fmt::format(", {} failed", failed_);
  for (const auto& [replica, steps] : steps_)
    if (!steps.empty())
      text += steps_.size() > 1 ? fmt::format(", replica {} step {}", replica, steps) : ", step " + steps;
  if (drawn_ > 0)
    text += fmt::format(", {:.0f} s left", seconds_a_picture() * static_cast<double>(pictures_ - finished()));
  return text;
}

void Progress::draw_bar() {
  const auto filled = pictures_ > 0 ? kBarWidth * finished() / pictures_ : 0;
  Terminal::get()->status(
      fmt::format("[{}{}] {}", std::string(filled, '#'), std::string(kBarWidth - filled, '.'), state()));
}

}  // namespace flux
