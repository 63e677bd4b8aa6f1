#include "model/tokenizer/sentencepiece_model.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "model/tokenizer/sentencepiece_model.pb.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

using wire::sentencepiece::ModelProto;
using wire::sentencepiece::NormalizerSpec;
using Type = ModelProto::SentencePiece;

constexpr int kUnigram = 1;
const std::string kNoPiece = "\x01";  // which no vocabulary holds: control characters are refused

bool has_unknown_fields(const google::protobuf::Message& message) {
  return !message.GetReflection()->GetUnknownFields(message).empty();
}

/// Whether there is a field that protobuf could not read though we know it (another wire type), or a group, which
/// nothing writes.
bool has_damaged_fields(const google::protobuf::Message& message) {
  const auto& unknown = message.GetReflection()->GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count(); ++i) {
    const auto& field = unknown.field(i);
    if (field.type() == google::protobuf::UnknownField::TYPE_GROUP) return true;
    if (message.GetDescriptor()->FindFieldByNumber(field.number()) != nullptr) return true;
  }
  return false;
}

/// Newer versions of sentencepiece add fields about the training, which change nothing here; elsewhere a field that is
/// not understood may change what the model means.
bool is_understood(const ModelProto& model) {
  if (has_unknown_fields(model) || has_unknown_fields(model.normalizer_spec())) return false;
  if (has_damaged_fields(model.trainer_spec())) return false;
  return std::none_of(model.pieces().begin(), model.pieces().end(),
                      [](const auto& piece) { return has_unknown_fields(piece); });
}

}  // namespace

Vocabulary read_sentencepiece_model(std::string_view bytes, const std::string& file) {
  ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !is_understood(model)) {
    throw Invalid(file + ": is no sentencepiece model, or damaged; copy the file again");
  }
  if (model.trainer_spec().model_type() != kUnigram) throw Invalid(file + ": is no unigram model, which T5's is");
  if (model.trainer_spec().byte_fallback()) throw Invalid(file + ": byte_fallback is not implemented");

  Vocabulary vocabulary;
  vocabulary.character_map = model.normalizer_spec().precompiled_charsmap();
  for (const auto& piece : model.pieces()) {
    const int id = static_cast<int>(vocabulary.pieces.size());
    const bool known = piece.type() == Type::NORMAL || piece.type() == Type::CONTROL;
    if (!known && piece.type() != Type::UNKNOWN) {
      throw Invalid(file + ": piece " + std::to_string(id) + " is of the type " + Type::Type_Name(piece.type()) +
                    ", which is not implemented");
    }
    if ((piece.type() == Type::UNKNOWN) != (id == Vocabulary::kUnknown)) {
      throw Invalid(file + ": piece " + std::to_string(id) +
                    ": the unknown piece (<unk>) must be the third, and only it");
    }
    vocabulary.pieces.push_back({piece.piece(), piece.score(), piece.type() == Type::CONTROL});
  }
  return vocabulary;
}

std::string sentencepiece_model(const Vocabulary& vocabulary) {
  ModelProto model;
  model.mutable_trainer_spec()->set_model_type(kUnigram);
  model.mutable_normalizer_spec()->set_precompiled_charsmap(vocabulary.character_map);
  const auto add = [&](const std::string& text, double score, Type::Type type) {
    auto* to = model.add_pieces();
    to->set_piece(text);
    to->set_score(static_cast<float>(score));
    to->set_type(type);
  };
  for (const auto& piece : vocabulary.pieces) {
    const bool unknown = model.pieces_size() == Vocabulary::kUnknown;
    add(unknown ? kNoPiece : piece.text, piece.score, unknown ? Type::UNKNOWN : Type::NORMAL);
  }
  const auto& unknown = vocabulary.pieces.at(Vocabulary::kUnknown);
  add(unknown.text, unknown.score, Type::NORMAL);
  return model.SerializeAsString();
}

std::string from_base64(const std::string& text, const std::string& file) {
  NormalizerSpec spec;
  const std::string json = nlohmann::json{{"precompiledCharsmap", text}}.dump();
  if (!google::protobuf::util::JsonStringToMessage(json, &spec).ok()) {
    throw Invalid(file + ": precompiled_charsmap is not base64");
  }
  return spec.precompiled_charsmap();
}

}  // namespace flux
