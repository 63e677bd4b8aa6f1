#pragma once

#include "runtime/options.pb.h"
#include "runtime/options/settings.h"
#include "runtime/source/picture_size.h"
#include "runtime/source/request_line.h"

namespace flux {

/// Says what somebody asked for and does nothing: once for what the whole run is given, and for every line that says
/// it itself.
class WithoutEffect {
 public:
  /// `distilled`: the model has no guidance to scale. All three outlive this.
  WithoutEffect(const Settings& settings, bool distilled, const Warn& warn)
      : settings_(settings), distilled_(distilled), warn_(warn) {}

  /// `whole`: the run's options with the line's over them.
  void check(const RequestLine& line, const proto::Options& whole);

 private:
  /// `own`: the line says it itself.
  void say(bool own, bool& said, const RequestLine& line, const std::string& what);

  const Settings& settings_;
  const bool distilled_;
  const Warn& warn_;
  bool negative_said_ = false, guidance_said_ = false, steps_said_ = false;
};

}  // namespace flux
