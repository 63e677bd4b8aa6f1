#include "model/encoder_modules.h"

namespace flux {

EncoderModules::EncoderModules(const Checkpoint& checkpoint, const Placing& placing, const Formats& formats)
    : clip_weights_(checkpoint.open("text_encoder"), placing),
      t5_weights_(Weights(checkpoint.open("text_encoder_2"), placing).as(formats.text_encoder)),
      transformer_weights_(Weights(checkpoint.open("transformer"), placing).as(formats.modulation)),
      clip(clip_weights_, checkpoint.folder.text_encoder),
      t5(t5_weights_, checkpoint.folder.text_encoder_2),
      context_embedder(transformer_weights_.as(Format::dense), {"context_embedder"},
                       checkpoint.folder.transformer.hidden_size(), checkpoint.folder.transformer.joint_attention_dim),
      modulation(transformer_weights_, checkpoint.folder.transformer) {}

std::map<std::string, int64_t> EncoderModules::bytes() const {
  return {{"text_encoder", clip_weights_.kept()},
          {"text_encoder_2", t5_weights_.kept()},
          {"modulation", transformer_weights_.kept()}};
}

}  // namespace flux
