#include "runtime/progress.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <variant>

#include "parallel/world.h"
#include "runtime/terminal.h"

namespace flux {
namespace {

constexpr Time kBetweenLines{10'000};
constexpr Time kBetweenBars{200};
constexpr int kBarWidth = 30;

/// Under mpirun nobody knows whether somebody looks on.
ProgressStyle resolved(ProgressStyle style) {
  if (style != ProgressStyle::automatic) return style;
  return isatty(STDERR_FILENO) && launched_ranks() == 1 ? ProgressStyle::bar : ProgressStyle::lines;
}

/// 40 s, 12 min, 7 h 05 min
std::string in_words(double seconds) {
  if (seconds < 100) return fmt::format("{:.0f} s", seconds);
  const auto minutes = std::lround(seconds / 60);
  return minutes < 60 ? fmt::format("{} min", minutes) : fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
}

}  // namespace

Progress::Progress(ProgressStyle style, int64_t pictures, int64_t there, const Placement& placement)
    : style_(resolved(style)), pictures_(pictures), there_(there), placement_(placement) {}

void Progress::on(Time now, const Event& event) {
  const auto* alive = std::get_if<event::Alive>(&event);
  if (alive != nullptr && placement_.ranks[alive->rank].position == 0)
    replicas_[placement_.ranks[alive->rank].replica].step =
        alive->steps > 0 ? fmt::format("{}/{}", alive->step, alive->steps) : "";
  show(now);
}

void Progress::on(Time now, const Command& command) {
  if (!std::holds_alternative<command::Begin>(command)) return;
  begun_ = true;
  drawing_began_ = shown_ = now_ = now;
  if (style_ == ProgressStyle::none) return;
  spdlog::info("loaded in {:.1f} s", in_seconds(now));
  if (style_ == ProgressStyle::bar) draw_bar();
}

void Progress::on(Time now, const Record& record) {
  now_ = now;
  if (!record.drawn()) {
    ++failed_;
    spdlog::error("{}: {}", record.origin, record.error);
    return;
  }
  ++drawn_;
  ReplicaState& replica = replicas_[record.replica];
  ++replica.drawn;
  replica.seconds += record.seconds.denoise;
  if (style_ == ProgressStyle::lines)
    spdlog::info("{}: encoded in {:.2f} s, denoised in {:.2f} s, decoded in {:.2f} s",
                 record.file.empty() ? record.origin : record.file, record.seconds.encode, record.seconds.denoise,
                 record.seconds.decode);
}

void Progress::show(Time now) {
  now_ = now;
  if (!begun_ || now - shown_ < (style_ == ProgressStyle::bar ? kBetweenBars : kBetweenLines)) return;
  shown_ = now;
  if (style_ == ProgressStyle::bar) draw_bar();
  if (style_ == ProgressStyle::lines) spdlog::info("{}", state());
}

void Progress::finish() {
  if (style_ == ProgressStyle::bar) Terminal::get()->status("");
  spdlog::info("{} of {} pictures drawn in {:.1f} s{}{}{}", drawn_, pictures_ - there_, in_seconds(now_),
               drawn_ > 0 ? fmt::format(", {:.2f} s a picture once loaded", seconds_a_picture()) : "",
               failed_ > 0 ? fmt::format(", {} failed", failed_) : "",
               there_ > 0 ? fmt::format("; {} were there", there_) : "");
}

double Progress::seconds_a_picture() const { return in_seconds(now_ - drawing_began_) / static_cast<double>(drawn_); }

std::string Progress::slowest_replica() const {
  std::map<int, double> pace;  // seconds a picture
  for (const auto& [number, replica] : replicas_)
    if (replica.drawn > 0) pace[number] = replica.seconds / static_cast<double>(replica.drawn);
  if (pace.size() < 2) return "";
  const auto slowest =
      std::max_element(pace.begin(), pace.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return fmt::format(", slowest replica {} ({:.1f} s a picture)", slowest->first, slowest->second);
}

std::string Progress::state() const {
  std::string text = fmt::format("{} of {} pictures", finished(), pictures_);
  if (failed_ > 0) text += fmt::format(", {} failed", failed_);
  for (const auto& [number, replica] : replicas_)
    if (!replica.step.empty())
      text +=
          replicas_.size() > 1 ? fmt::format(", replica {} step {}", number, replica.step) : ", step " + replica.step;
  if (drawn_ == 0) return text;
  text += fmt::format(", {:.0f} an hour, {} left", 3600 / seconds_a_picture(),
                      in_words(seconds_a_picture() * static_cast<double>(pictures_ - finished())));
  return text + slowest_replica();
}

void Progress::draw_bar() {
  const auto filled = pictures_ > 0 ? kBarWidth * finished() / pictures_ : 0;
  Terminal::get()->status(
      fmt::format("[{}{}] {}", std::string(filled, '#'), std::string(kBarWidth - filled, '.'), state()));
}

}  // namespace flux
