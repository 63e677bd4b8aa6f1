#pragma once

// The plain structs that the stages exchange, and the glossary.
//
//   txt         embedded text tokens of T5                     [text tokens, d]
//   img         embedded picture tokens, one for 2 x 2 latents [rows * columns, d]
//   joint       [txt; img] in this order                       [tokens, d]
//   vec         the sum of the time, guidance and pooled text embeddings (d values a step); only modulation sees it
//   modulation  shift, scale and gate of every block, all steps at once: linear layers of silu(vec)
//   pe          rotary position embedding (cos, sin) by token  [tokens, head_dim / 2]
//   latents     what is denoised, packed                       [rows * columns, 4 * latent_channels], fp32
//   sigma       noise level of a step, 1 ... 0; timestep = 1000 sigma
//   guidance    the distilled guidance scale, an input of FLUX.1-dev (not true CFG)

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace flux {

/// What the denoiser must know of a picture beside its conditioning.
struct Picture {
  int64_t height = 1024;  // pixels, a multiple of token_side
  int64_t width = 1024;
  uint64_t seed = 0;                           // of the CPU generator that draws the noise
  at::ScalarType noise_dtype = at::kBFloat16;  // noise of another dtype is another picture
  int64_t token_side = 16;                     // pixels; VaeConfig::token_side() of the model that draws

  int64_t rows() const { return height / token_side; }  // of tokens
  int64_t columns() const { return width / token_side; }
  int64_t tokens() const { return rows() * columns(); }
};

/// The largest pictures of a run, which fix how the joint sequence is cut and how much memory is kept.
struct Demand {
  int64_t image_tokens = 4096;
  int64_t text_tokens = 512;
  std::vector<int64_t> shares{};  // in which the ranks of a replica hold the sequence; empty: even

  bool anything() const { return image_tokens > 0; }
};

/// One picture to draw. Names as diffusers' FluxPipeline.__call__.
struct Prompt {
  std::string prompt;
  std::optional<std::string> prompt_2;           // for T5; absent: prompt
  std::optional<std::string> negative_prompt;    // true CFG when present and true_cfg_scale > 1
  std::optional<std::string> negative_prompt_2;  // for T5, beside negative_prompt; absent: negative_prompt
  double true_cfg_scale = 1.0;
  double guidance_scale = 3.5;
  int64_t num_inference_steps = 28;
  std::vector<double> sigmas{};       // of the steps, before the time shift; empty: evenly from 1 to 1 / steps
  int64_t max_sequence_length = 512;  // T5 tokens, padded up to this
  Picture picture;
  std::string id{};  // the user's own, which names files; empty: none

  bool true_cfg() const { return true_cfg_scale > 1.0 && negative_prompt; }
};

/// Conditioning of one pass through the transformer.
struct Branch {
  at::Tensor txt;         // [text tokens, d], already through context_embedder
  at::Tensor modulation;  // [steps, n]: the rows of ModulationLayout, all blocks side by side
};

/// What the encoder makes of a prompt. branches[1] is the negative prompt of true CFG: neg + scale * (pos - neg).
struct Conditioning {
  std::vector<Branch> branches;
  std::vector<float> sigmas;  // steps + 1, ends with 0
  double true_cfg_scale = 1.0;
};

/// A finished picture: uint8 RGB [height, width, 3] on the CPU.
struct Image {
  at::Tensor rgb;
  std::string warning{};  // of how it came about; empty if as asked for
};

}  // namespace flux
