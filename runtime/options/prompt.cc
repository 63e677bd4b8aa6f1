#include "runtime/options/prompt.h"

#include <c10/util/hash.h>
#include <google/protobuf/reflection.h>
#include <nlohmann/json.hpp>

#include "parallel/rank/errors.h"
#include "runtime/options.pb.h"
#include "runtime/options/field.h"

namespace flux {
namespace {

using google::protobuf::FieldDescriptor;
using Json = nlohmann::ordered_json;

at::ScalarType plain(proto::NoiseDtype::Value value) {
  switch (value) {
    case proto::NoiseDtype::fp32:
      return at::kFloat;
    case proto::NoiseDtype::bf16:
      return at::kBFloat16;
    case proto::NoiseDtype::fp16:
      return at::kHalf;
  }
  throw std::logic_error("noise_dtype");
}

proto::NoiseDtype::Value noise_dtype(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return proto::NoiseDtype::fp32;
    case at::kBFloat16:
      return proto::NoiseDtype::bf16;
    case at::kHalf:
      return proto::NoiseDtype::fp16;
    default:
      throw std::logic_error("noise_dtype");
  }
}

std::optional<std::string> given(bool there, const std::string& text) {
  return there ? std::optional(text) : std::nullopt;
}

Json value_of(const proto::Options& options, const FieldDescriptor& field) {
  const auto& reflection = *options.GetReflection();
  if (field.is_repeated()) {
    const auto values = reflection.GetRepeatedFieldRef<double>(options, &field);
    return std::vector<double>(values.begin(), values.end());
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.GetInt64(options, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.GetUInt64(options, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(options, &field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.GetEnum(options, &field)->name();
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.GetString(options, &field);
    default:
      throw std::logic_error("options.proto: " + field.name() + " has a type that no prompt has");
  }
}

}  // namespace

Prompt prompt_of(const proto::Options& options, int64_t token_side) {
  if (!options.has_noise_dtype()) throw Invalid("noise_dtype is missing");
  const bool own_steps = options.sigmas().empty();
  return {.prompt = options.prompt(),
          .prompt_2 = given(options.has_prompt_2(), options.prompt_2()),
          .negative_prompt = given(options.has_negative_prompt(), options.negative_prompt()),
          .negative_prompt_2 = given(options.has_negative_prompt_2(), options.negative_prompt_2()),
          .true_cfg_scale = options.true_cfg_scale(),
          .guidance_scale = options.guidance_scale(),
          .num_inference_steps = own_steps ? options.num_inference_steps() : options.sigmas_size(),
          .sigmas = {options.sigmas().begin(), options.sigmas().end()},
          .max_sequence_length = options.max_sequence_length(),
          .picture = {.height = options.height(),
                      .width = options.width(),
                      .seed = options.seed(),
                      .noise_dtype = plain(options.noise_dtype()),
                      .token_side = token_side},
          .id = options.id()};
}

proto::Options options_of(const Prompt& prompt) {
  proto::Options options;
  options.set_prompt(prompt.prompt);
  if (prompt.prompt_2) options.set_prompt_2(*prompt.prompt_2);
  if (prompt.negative_prompt) options.set_negative_prompt(*prompt.negative_prompt);
  if (prompt.negative_prompt_2) options.set_negative_prompt_2(*prompt.negative_prompt_2);
  options.set_true_cfg_scale(prompt.true_cfg_scale);
  options.set_height(prompt.picture.height);
  options.set_width(prompt.picture.width);
  options.set_num_inference_steps(prompt.num_inference_steps);
  options.mutable_sigmas()->Add(prompt.sigmas.begin(), prompt.sigmas.end());
  options.set_guidance_scale(prompt.guidance_scale);
  options.set_max_sequence_length(prompt.max_sequence_length);
  options.set_seed(prompt.picture.seed);
  options.set_noise_dtype(noise_dtype(prompt.picture.noise_dtype));
  if (!prompt.id.empty()) options.set_id(prompt.id);
  return options;
}

std::string parameters_json(const Prompt& prompt) {
  const proto::Options options = options_of(prompt);
  Json json;
  for (int i = 0; i < proto::Options::descriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *proto::Options::descriptor()->field(i);
    if (field_present(options, field)) json[field.name()] = value_of(options, field);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string identity_of(const Prompt& prompt) {
  constexpr size_t digits = 16;
  return c10::sha1(parameters_json(prompt)).str().substr(0, digits);
}

}  // namespace flux
