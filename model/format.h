#pragma once

namespace flux {

/// How large matrices are kept and what they are multiplied with.
enum class Format {
  dense,  // the compute dtype
  int8,   // W8A8: int8 codes with a scale a row, of rows that are rotated first (model/kernels/quantize_operand.h);
          // what they multiply is rotated and rounded the same way
  fp8,    // W8A8: e4m3 codes with a scale a row on either side, not rotated
  int8_weights,   // W8A16: int8 codes with a scale a row; what they multiply stays as it is
  int8_outliers,  // LLM.int8: int8_weights' codes, by int8 but in columns with outliers
                  // (linear/int8_outliers_product.h)
  fp8_weights,    // the same as int8_weights of e4m3 codes, as folders in fp8 have them (checkpoint/fp8.h)
  nf4,  // W4A16: codes of 4 bits with a scale for every 64 values, as bitsandbytes has them (linear/four_bit.h)
  fp4,  // the same with another codebook
};

/// What a product of this format multiplies: dense, int8 or fp8.
constexpr Format input_of(Format format) {
  return format == Format::int8 || format == Format::fp8 ? format : Format::dense;
}

constexpr bool is_four_bit(Format format) { return format == Format::nf4 || format == Format::fp4; }

/// Of a model's parts. What is small or sensitive is dense whatever they say: CLIP, the VAE, embeddings, norms, biases,
/// and the transformer's first and last layer.
struct Formats {
  Format transformer = Format::dense;
  Format text_encoder = Format::dense;  // text_encoder_2, T5
  Format modulation = Format::dense;    // the AdaLN linears of the transformer
  Format exchange = Format::dense;      // not kept: keys and values on their way between ranks; dense, int8 or fp8
  Format attention = Format::dense;     // not kept: queries, keys and values as they are attended to; dense or fp8

  bool operator==(const Formats&) const = default;
};

/// As --quantize has it.
inline const char* format_name(Format format) {
  switch (format) {
    case Format::dense:
      return "none";
    case Format::int8:
      return "int8";
    case Format::fp8:
      return "fp8";
    case Format::int8_weights:
      return "int8-weights";
    case Format::int8_outliers:
      return "int8-outliers";
    case Format::fp8_weights:
      return "fp8-weights";
    case Format::nf4:
      return "nf4";
    case Format::fp4:
      return "fp4";
  }
  return "";
}

}  // namespace flux
