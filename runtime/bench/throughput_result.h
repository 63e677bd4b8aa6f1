#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/bench/energy.h"
#include "runtime/bench/idle.h"
#include "runtime/bench/load.h"
#include "runtime/bench/picture_log.h"
#include "runtime/placement.h"

namespace flux {

/// Of a latency, seconds: what a request waited for or was worked on. All together are the latency.
struct Split {
  double queue = 0;     // for the encoder, a replica, the decoder
  double encode = 0;    // in the encoder, as its rank says
  double transfer = 0;  // on its way to ranks and back
  double denoise = 0;
  double decode = 0;
  double write = 0;  // the file and the journal's line, where there are any
};

/// What became of a request. One of several pictures is done with its last, whose split counts.
struct RequestResult {
  double arrival = 0;  // seconds since the wave began: when it was to come
  double latency = 0;  // seconds, from then on
  Split split;
  std::optional<double> slo;  // seconds: the latency to be kept
  int64_t pictures = 1, width = 0, height = 0, steps = 0;
  int replica = -1;
  std::string prompt;
  std::string error;  // not empty: a picture failed
};

/// What a rank did, seconds.
struct RankUse {
  double encode = 0, denoise = 0, decode = 0;  // as the rank says
  double busy = 0;                             // in which it did any of them
};

/// A stage at work on a picture, seconds since the wave began.
struct Span {
  int rank = 0;
  const char* stage = "";  // "encode", "denoise", "decode"
  double from = 0, to = 0;
  int64_t picture = 0;
  size_t request = 0;  // of the wave
};

/// What a wave came to.
struct WaveResult {
  double duration = 0;                  // seconds, from the first arrival until the last request is done
  std::vector<RequestResult> requests;  // as they came
  std::vector<ReplicaUse> replicas;     // over the duration
  std::vector<RankUse> ranks;           // likewise
  std::vector<Span> spans;
  CardEnergy energy;  // of each rank's card over the duration
};

/// Of one wave of the load.
WaveResult wave_result(const Load& load, const PictureLog& log, size_t wave, const Placement& placement);

Split split_of(const PictureTimes& picture, Time arrival);

/// With linear interpolation between values, as numpy has it. `part`: 0.5 is the median. Of no values: NaN.
double percentile(std::vector<double> values, double part);
double mean(const std::vector<double>& values);

}  // namespace flux
