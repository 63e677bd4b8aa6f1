#pragma once

// What ranks say to each other, as plain structs. messages.cc is the only place that sees protobuf.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "model/request.h"
#include "parallel/mailbox.h"
#include "runtime/placement.h"

namespace flux {

/// Before anything is loaded, everybody to everybody: from what all know, each makes the same placement.
struct Hello {
  RankFacts facts;
  Workload workload;  // of rank 0, which alone has the requests
};

// To the coordinator. A picture is its position in the run, a request the position of its line.

/// The rank's stages are loaded.
struct Ready {};

/// A sign of life, and how far the rank is. picture -1: it draws nothing.
struct Step {
  int64_t picture = -1;
  int64_t step = 0;
  int64_t steps = 0;
  int64_t peak_memory = 0;  // bytes, once all is loaded
};

struct Encoded {
  int64_t request = 0;
  double seconds = 0;
  std::vector<std::string> warnings;
  Conditioning conditioning;
};

struct Denoised {
  int64_t picture = 0;
  double seconds = 0;
  at::Tensor latents;  // [tokens, channels] fp32
};

struct Decoded {
  int64_t picture = 0;
  double seconds = 0;
  Image image;
};

/// From the coordinator's own sink: there is something to take from it.
struct Written {};

/// Bad input: the rank goes on.
struct RequestFailed {
  int64_t request = 0;
  std::string why;
};
struct PictureFailed {
  int64_t picture = 0;
  std::string why;
};

/// The rank was told that the job is to drain.
struct ToldToDrain {};

/// The rank cannot go on.
struct RankFailed {
  bool invalid = false;  // the configuration or a file of the model is wrong: exit code 2
  std::string why;
};

// From the coordinator.

struct Encode {
  int64_t request = 0;
  Prompt prompt;
};

/// The replica's leader gets the tensors, which it broadcasts; the others get their shapes.
struct Denoise {
  int64_t picture = 0;
  Picture drawn;
  Conditioning conditioning;
};

struct Decode {
  int64_t picture = 0;
  Picture drawn;
  at::Tensor latents;
};

/// The coordinator is there, though it has nothing to order.
struct Present {};

struct Stop {
  int exit_code = 0;
};

using Report = std::variant<Ready, Step, Encoded, Denoised, Decoded, Written, RequestFailed, PictureFailed, ToldToDrain,
                            RankFailed>;
using Order = std::variant<Encode, Denoise, Decode, Present, Stop>;
using Message = std::variant<Report, Order>;

Parcel pack(const Report& report);
Parcel pack(const Order& order);

/// A Denoise with shapes in place of tensors.
Parcel pack_shapes(const Denoise& order);

/// Throws Aborted when the parcel is none of ours. Where only shapes came, tensors are allocated, unfilled.
Message unpack(Parcel parcel);

std::string pack(const Hello& hello);
Hello unpack_hello(const std::string& bytes);

}  // namespace flux
