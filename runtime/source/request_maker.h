#pragma once

#include <cstdint>
#include <string>

#include "model/config.h"
#include "runtime/options.pb.h"
#include "runtime/options/settings.h"
#include "runtime/source/request_line.h"
#include "runtime/source/source.h"
#include "runtime/warn.h"

namespace flux {

/// Makes requests of lines, the same as often as it is asked.
class RequestMaker {
 public:
  /// Warns of what the run asks for.
  RequestMaker(const Settings& settings, ModelFolder model, const Warn& warn);

  /// Without its place in the run. `first_picture`: the position of its first picture, which its seed follows. Warns of
  /// what the line asks for; what cannot be drawn has an error.
  Request request_of(const RequestLine& line, int64_t first_picture, const Warn& warn) const;

  /// What the run says, and over it what a good line says.
  proto::Options whole(const RequestLine& line) const;

  /// Flop of a step of so many tokens.
  double step_cost(int64_t tokens) const;

  /// Throws Invalid where the run's seed is too large for its last picture.
  void check_seed(int64_t last_picture) const;

 private:
  void fill(Request& request, const RequestLine& line, int64_t first_picture, const Warn& warn) const;
  proto::Options overlaid(const RequestLine& line, const Warn& warn) const;
  double cost_of(const Prompt& prompt) const;

  const ModelFolder model_;
  const proto::Options run_;
  const std::string origin_of_seed_;
};

}  // namespace flux
