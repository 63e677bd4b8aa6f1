#include "model/transformer/scratch.h"

#include <utility>

#include "model/kernels/quantize_operand.h"

namespace flux {
namespace {

/// Rows begin ... begin + rows of the arena. Codes of a range of rows lie packed, wherever they are in the sequence;
/// one operand's are read before the next one's are written.
TokenRows rows_of(const Arena& arena, const JointAttention& attention, int64_t begin, int64_t rows) {
  const int64_t d = arena.residual.size(1);
  const auto of = [&](const at::Tensor& buffer) { return buffer.narrow(0, begin, rows); };
  const auto operand = [&](int64_t column, int64_t width) -> Operand {
    const auto values = of(arena.joined).narrow(1, column, width);
    if (!arena.codes.defined()) return {values, {values}};
    const auto codes = arena.codes.narrow(0, begin * 5 * d, rows * width).view({rows, width});
    return {values, {codes, of(arena.code_scales)}};
  };
  std::vector<at::Tensor> kv, normed_k;
  for (size_t part = 0; part < attention.parts(); ++part) {
    kv.push_back(attention.keys_values(part).narrow(0, begin, rows));
    normed_k.push_back(attention.keys(part).narrow(0, begin, rows));
  }
  return {.residual = of(arena.residual),
          .normed = {of(arena.normed), arena.normed_scales.defined() ? of(arena.normed_scales) : at::Tensor()},
          .kv = std::move(kv),
          .q = of(arena.q),
          .normed_k = std::move(normed_k),
          .normed_q = of(attention.queries(arena.q)),
          .joined = operand(0, 5 * d),
          .attended = operand(0, d),
          .hidden = operand(d, 4 * d),
          .branch = of(arena.branch),
          .pe = {of(arena.cos), of(arena.sin)}};
}

}  // namespace

const Activation& Operand::ready() const {
  if (operand.quantized()) quantize_operand(values, operand);
  return operand;
}

Scratch::Scratch(const TransformerConfig& config, const Cut& cut, const Picture& picture, const Arena& arena,
                 Communicator& sequence)
    : attention(arena.attention->attention(cut, sequence)),
      beside(arena.beside),
      joint(rows_of(arena, *attention, 0, cut.rows(sequence.rank()))),
      txt(rows_of(arena, *attention, 0, cut.text_rows(sequence.rank()))),
      img(rows_of(arena, *attention, cut.text_rows(sequence.rank()), cut.image_rows(sequence.rank()))),
      latents(arena.latents.narrow(0, 0, img.rows())),
      velocity(arena.velocity.narrow(0, 0, img.rows())) {
  const Rotary pe =
      rotary(config.axes_dims_rope, cut.text_tokens(), picture).narrow(cut.begin(sequence.rank()), joint.rows());
  joint.pe.cos.copy_(pe.cos);
  joint.pe.sin.copy_(pe.sin);
}

}  // namespace flux
