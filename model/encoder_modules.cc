#include "model/encoder_modules.h"

namespace flux {

EncoderModules::EncoderModules(const Checkpoint& checkpoint, const Placing& placing, const Formats& formats)
    : clip_weights_(checkpoint.open("text_encoder"), placing),
      t5_weights_(Weights(checkpoint.open("text_encoder_2"), placing).as(formats.text_encoder)),
      transformer_weights_(Weights(checkpoint.open("transformer"), placing).as(formats.modulation)),
      clip(in_one_piece(clip_weights_,
                        [&](const Weights& weights) { return ClipText(weights, checkpoint.folder.text_encoder); })),
      t5(in_one_piece(t5_weights_,
                      [&](const Weights& weights) { return T5Encoder(weights, checkpoint.folder.text_encoder_2); })),
      context_embedder(transformer_weights_.as(Format::dense), {"context_embedder"},
                       checkpoint.folder.transformer.hidden_size(), checkpoint.folder.transformer.joint_attention_dim),
      modulation(in_one_piece(transformer_weights_, [&](const Weights& weights) {
        return Modulation(weights, checkpoint.folder.transformer);
      })) {}

std::map<std::string, int64_t> EncoderModules::bytes() const {
  return {{"text_encoder", clip_weights_.kept()},
          {"text_encoder_2", t5_weights_.kept()},
          {"modulation", transformer_weights_.kept()}};
}

int64_t EncoderModules::bytes_on_host() const {
  return clip_weights_.kept_on_host() + t5_weights_.kept_on_host() + transformer_weights_.kept_on_host();
}

}  // namespace flux
