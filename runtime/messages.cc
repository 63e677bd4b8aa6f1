#include "runtime/messages.h"

#include <ATen/ATen.h>

#include <stdexcept>
#include <utility>

#include "parallel/rank/errors.h"
#include "runtime/messages.pb.h"

namespace flux {
namespace {

// Plain structs to protobuf.

void write(const Picture& picture, wire::Picture& out) {
  out.set_height(picture.height);
  out.set_width(picture.width);
  out.set_seed(picture.seed);
  out.set_noise_dtype(static_cast<int>(picture.noise_dtype));
  out.set_token_side(picture.token_side);
}

void write(const Prompt& prompt, wire::Prompt& out) {
  out.set_prompt(prompt.prompt);
  if (prompt.prompt_2) out.set_prompt_2(*prompt.prompt_2);
  if (prompt.negative_prompt) out.set_negative_prompt(*prompt.negative_prompt);
  if (prompt.negative_prompt_2) out.set_negative_prompt_2(*prompt.negative_prompt_2);
  out.set_true_cfg_scale(prompt.true_cfg_scale);
  out.set_guidance_scale(prompt.guidance_scale);
  out.set_num_inference_steps(prompt.num_inference_steps);
  out.set_max_sequence_length(prompt.max_sequence_length);
  write(prompt.picture, *out.mutable_picture());
}

void write(const at::Tensor& tensor, wire::Shape& out) {
  for (int64_t size : tensor.sizes()) out.add_sizes(size);
  out.set_dtype(static_cast<int>(tensor.scalar_type()));
}

void write(const Conditioning& conditioning, wire::Conditioning& out) {
  for (const auto& branch : conditioning.branches) {
    write(branch.txt, *out.add_tensors());
    write(branch.modulation, *out.add_tensors());
  }
  for (float sigma : conditioning.sigmas) out.add_sigmas(sigma);
  out.set_true_cfg_scale(conditioning.true_cfg_scale);
}

std::vector<at::Tensor> tensors_of(const Conditioning& conditioning) {
  std::vector<at::Tensor> tensors;
  for (const auto& branch : conditioning.branches) {
    tensors.push_back(branch.txt);
    tensors.push_back(branch.modulation);
  }
  return tensors;
}

struct Packer {
  wire::Message message;
  std::vector<at::Tensor> tensors;

  void operator()(const Ready&) { message.mutable_ready(); }
  void operator()(const Step& step) {
    auto& out = *message.mutable_step();
    out.set_job(step.job);
    out.set_step(step.step);
    out.set_steps(step.steps);
  }
  wire::Done& done(wire::Done::Stage stage, int64_t job, double seconds) {
    auto& out = *message.mutable_done();
    out.set_stage(stage);
    out.set_job(job);
    out.set_seconds(seconds);
    return out;
  }
  void operator()(const Encoded& encoded) {
    auto& out = done(wire::Done::ENCODE, encoded.job, encoded.seconds);
    for (const auto& warning : encoded.warnings) out.add_warnings(warning);
    write(encoded.conditioning, *out.mutable_conditioning());
    tensors = tensors_of(encoded.conditioning);
  }
  void operator()(const Denoised& denoised) {
    done(wire::Done::DENOISE, denoised.job, denoised.seconds);
    tensors = {denoised.latents};
  }
  void operator()(const Decoded& decoded) {
    done(wire::Done::DECODE, decoded.job, decoded.seconds);
    tensors = {decoded.image.rgb};
  }
  void operator()(const Written& written) { done(wire::Done::WRITE, written.job, 0); }
  void operator()(const Failed& failed) {
    auto& out = *message.mutable_failed();
    out.set_job(failed.job);
    out.set_job_alone(failed.job_alone);
    out.set_invalid(failed.invalid);
    out.set_why(failed.why);
  }
  void operator()(const Encode& encode) {
    auto& out = *message.mutable_encode();
    out.set_job(encode.job);
    write(encode.prompt, *out.mutable_prompt());
  }
  void operator()(const Denoise& denoise) {
    auto& out = *message.mutable_denoise();
    out.set_job(denoise.job);
    write(denoise.picture, *out.mutable_picture());
    write(denoise.conditioning, *out.mutable_conditioning());
    tensors = tensors_of(denoise.conditioning);
  }
  void operator()(const Decode& decode) {
    auto& out = *message.mutable_decode();
    out.set_job(decode.job);
    write(decode.picture, *out.mutable_picture());
    tensors = {decode.latents};
  }
  void operator()(const Stop& stop) { message.mutable_stop()->set_exit_code(stop.exit_code); }
};

// Protobuf to plain structs.

[[noreturn]] void not_ours() {
  throw Aborted("a rank sent a message that this program does not know: start the same build on every host");
}

Picture read(const wire::Picture& in) {
  return {in.height(), in.width(), in.seed(), static_cast<at::ScalarType>(in.noise_dtype()), in.token_side()};
}

Prompt read(const wire::Prompt& in) {
  Prompt prompt;
  prompt.prompt = in.prompt();
  if (in.has_prompt_2()) prompt.prompt_2 = in.prompt_2();
  if (in.has_negative_prompt()) prompt.negative_prompt = in.negative_prompt();
  if (in.has_negative_prompt_2()) prompt.negative_prompt_2 = in.negative_prompt_2();
  prompt.true_cfg_scale = in.true_cfg_scale();
  prompt.guidance_scale = in.guidance_scale();
  prompt.num_inference_steps = in.num_inference_steps();
  prompt.max_sequence_length = in.max_sequence_length();
  prompt.picture = read(in.picture());
  return prompt;
}

at::Tensor unfilled(const wire::Shape& in) {
  return at::empty(std::vector<int64_t>(in.sizes().begin(), in.sizes().end()), static_cast<at::ScalarType>(in.dtype()));
}

Conditioning read(const wire::Conditioning& in, std::vector<at::Tensor> tensors) {
  if (tensors.empty())
    for (const auto& shape : in.tensors()) tensors.push_back(unfilled(shape));
  if (tensors.size() % 2 != 0 || static_cast<int>(tensors.size()) != in.tensors_size()) not_ours();
  Conditioning conditioning;
  for (size_t i = 0; i < tensors.size(); i += 2) conditioning.branches.push_back({tensors[i], tensors[i + 1]});
  conditioning.sigmas.assign(in.sigmas().begin(), in.sigmas().end());
  conditioning.true_cfg_scale = in.true_cfg_scale();
  return conditioning;
}

at::Tensor only(const std::vector<at::Tensor>& tensors) {
  if (tensors.size() != 1) not_ours();
  return tensors.front();
}

Message read(const wire::Done& in, std::vector<at::Tensor> tensors) {
  switch (in.stage()) {
    case wire::Done::ENCODE:
      return Encoded{in.job(),
                     in.seconds(),
                     {in.warnings().begin(), in.warnings().end()},
                     read(in.conditioning(), std::move(tensors))};
    case wire::Done::DENOISE:
      return Denoised{in.job(), in.seconds(), only(tensors)};
    case wire::Done::DECODE:
      return Decoded{in.job(), in.seconds(), {only(tensors)}};
    case wire::Done::WRITE:
      return Written{in.job()};
    default:
      not_ours();
  }
}

template <typename Wire>
Wire parsed(const std::string& bytes) {
  Wire message;
  if (!message.ParseFromString(bytes)) not_ours();
  return message;
}

}  // namespace

Parcel pack(const Message& message) {
  Packer packer;
  std::visit(packer, message);
  return {packer.message.SerializeAsString(), std::move(packer.tensors)};
}

Parcel pack_shapes(const Denoise& message) {
  Packer packer;
  packer(message);
  return {packer.message.SerializeAsString(), {}};
}

Message unpack(Parcel parcel) {
  const auto message = parsed<wire::Message>(parcel.header);
  switch (message.kind_case()) {
    case wire::Message::kReady:
      return Ready{};
    case wire::Message::kStep:
      return Step{message.step().job(), message.step().step(), message.step().steps()};
    case wire::Message::kDone:
      return read(message.done(), std::move(parcel.tensors));
    case wire::Message::kFailed: {
      const auto& failed = message.failed();
      return Failed{failed.job(), failed.job_alone(), failed.invalid(), failed.why()};
    }
    case wire::Message::kEncode:
      return Encode{message.encode().job(), read(message.encode().prompt())};
    case wire::Message::kDenoise: {
      const auto& denoise = message.denoise();
      return Denoise{denoise.job(), read(denoise.picture()), read(denoise.conditioning(), std::move(parcel.tensors))};
    }
    case wire::Message::kDecode:
      return Decode{message.decode().job(), read(message.decode().picture()), only(parcel.tensors)};
    case wire::Message::kStop:
      return Stop{message.stop().exit_code()};
    case wire::Message::KIND_NOT_SET:
      break;
  }
  not_ours();
}

std::string pack(const Hello& hello) {
  wire::Hello out;
  out.set_host(hello.facts.host);
  out.set_process(hello.facts.process);
  out.set_cores(hello.facts.cores);
  out.set_error(hello.error);
  for (const auto& card : hello.facts.cards) {
    auto& to = *out.add_cards();
    to.set_index(card.index);
    to.set_uuid(card.uuid);
    to.set_name(card.name);
    to.set_capability(card.capability);
  }
  return out.SerializeAsString();
}

Hello unpack_hello(const std::string& bytes) {
  const auto in = parsed<wire::Hello>(bytes);
  Hello hello;
  hello.facts = {in.host(), in.process(), in.cores(), {}};
  for (const auto& card : in.cards())
    hello.facts.cards.push_back({card.index(), card.uuid(), card.name(), card.capability()});
  hello.error = in.error();
  return hello;
}

std::string pack(const Assign& assign) {
  wire::Assign out;
  out.set_error(assign.error);
  out.set_dtype(static_cast<int>(assign.placement.dtype));
  for (const auto& rank : assign.placement.ranks) {
    auto& to = *out.add_ranks();
    to.set_host(rank.host);
    to.set_encodes(rank.encodes);
    to.set_replica(rank.replica);
    to.set_position(rank.position);
    to.set_text(rank.text);
    to.set_device_type(static_cast<int>(rank.device.type()));
    to.set_device_index(rank.device.index());
    to.set_card(rank.card);
    to.set_threads(rank.threads);
  }
  for (const auto& replica : assign.placement.replicas) {
    auto& to = *out.add_replicas();
    for (int rank : replica.ranks) to.add_ranks(rank);
    to.set_text_ranks(replica.text_ranks);
    to.set_transport(static_cast<int>(replica.transport));
  }
  return out.SerializeAsString();
}

Assign unpack_assign(const std::string& bytes) {
  const auto in = parsed<wire::Assign>(bytes);
  Assign assign;
  assign.error = in.error();
  assign.placement.dtype = static_cast<at::ScalarType>(in.dtype());
  for (const auto& rank : in.ranks()) {
    RankPlace place;
    place.rank = static_cast<int>(assign.placement.ranks.size());
    place.host = rank.host();
    place.encodes = rank.encodes();
    place.replica = rank.replica();
    place.position = rank.position();
    place.text = rank.text();
    place.device =
        at::Device(static_cast<at::DeviceType>(rank.device_type()), static_cast<at::DeviceIndex>(rank.device_index()));
    place.card = rank.card();
    place.threads = rank.threads();
    assign.placement.ranks.push_back(place);
  }
  for (const auto& replica : in.replicas())
    assign.placement.replicas.push_back({{replica.ranks().begin(), replica.ranks().end()},
                                         replica.text_ranks(),
                                         static_cast<Transport>(replica.transport())});
  return assign;
}

}  // namespace flux
