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

/// Before anything is loaded, everybody to everybody.
struct Hello {
  RankFacts facts;
  std::string error;  // this rank cannot take part
};

/// The coordinator's answer to everybody.
struct Assign {
  Placement placement;
  std::string error;  // there is no placement
};

// Worker to coordinator.

/// The rank's stages are loaded.
struct Ready {};

/// A sign of life, and how far the rank is. job -1: nothing to do. The coordinator sends it too.
struct Step {
  int64_t job = -1;
  int64_t step = 0;
  int64_t steps = 0;
};

struct Encoded {
  int64_t job = 0;
  double seconds = 0;
  std::vector<std::string> warnings;
  Conditioning conditioning;
};

struct Denoised {
  int64_t job = 0;
  double seconds = 0;
  at::Tensor latents;  // [tokens, channels] fp32
};

struct Decoded {
  int64_t job = 0;
  double seconds = 0;
  Image image;
};

/// The picture's file is in place (the coordinator's own sink says so).
struct Written {
  int64_t job = 0;
};

struct Failed {
  int64_t job = -1;        // what the rank was doing; -1: loading
  bool job_alone = false;  // bad input: the rank goes on
  bool invalid = false;    // the configuration or a file of the model is wrong: exit code 2
  std::string why;
};

// Coordinator to worker.

struct Encode {
  int64_t job = 0;
  Prompt prompt;
};

/// The replica's leader gets the tensors, which it broadcasts; the others get their shapes.
struct Denoise {
  int64_t job = 0;
  Picture picture;
  Conditioning conditioning;
};

struct Decode {
  int64_t job = 0;
  Picture picture;
  at::Tensor latents;
};

struct Stop {
  int exit_code = 0;
};

using Message = std::variant<Ready, Step, Encoded, Denoised, Decoded, Written, Failed, Encode, Denoise, Decode, Stop>;

Parcel pack(const Message& message);

/// A Denoise with shapes in place of tensors.
Parcel pack_shapes(const Denoise& message);

/// Throws Aborted when the parcel is none of ours. Where only shapes came, tensors are allocated, unfilled.
Message unpack(Parcel parcel);

std::string pack(const Hello& hello);
std::string pack(const Assign& assign);
Hello unpack_hello(const std::string& bytes);
Assign unpack_assign(const std::string& bytes);

}  // namespace flux
