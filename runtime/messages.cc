#include "runtime/messages.h"

#include <ATen/ATen.h>

#include <utility>

#include "parallel/rank/errors.h"
#include "runtime/messages.pb.h"
#include "runtime/options/prompt.h"

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
    out.set_picture(step.picture);
    out.set_step(step.step);
    out.set_steps(step.steps);
    out.set_peak_memory(step.peak_memory);
  }
  void operator()(const Encoded& encoded) {
    auto& out = *message.mutable_encoded();
    out.set_request(encoded.request);
    out.set_seconds(encoded.seconds);
    for (const auto& warning : encoded.warnings) out.add_warnings(warning);
    write(encoded.conditioning, *out.mutable_conditioning());
    tensors = tensors_of(encoded.conditioning);
  }
  void operator()(const Denoised& denoised) {
    message.mutable_denoised()->set_picture(denoised.picture);
    message.mutable_denoised()->set_seconds(denoised.seconds);
    tensors = {denoised.latents};
  }
  void operator()(const Decoded& decoded) {
    message.mutable_decoded()->set_picture(decoded.picture);
    message.mutable_decoded()->set_seconds(decoded.seconds);
    message.mutable_decoded()->set_warning(decoded.image.warning);
    tensors = {decoded.image.rgb};
  }
  void operator()(const Written&) { message.mutable_written(); }
  void operator()(const RequestFailed& failed) {
    message.mutable_request_failed()->set_request(failed.request);
    message.mutable_request_failed()->set_why(failed.why);
  }
  void operator()(const PictureFailed& failed) {
    message.mutable_picture_failed()->set_picture(failed.picture);
    message.mutable_picture_failed()->set_why(failed.why);
  }
  void operator()(const ToldToDrain&) { message.mutable_told_to_drain(); }
  void operator()(const RankFailed& failed) {
    message.mutable_rank_failed()->set_invalid(failed.invalid);
    message.mutable_rank_failed()->set_why(failed.why);
  }
  void operator()(const Encode& encode) {
    auto& out = *message.mutable_encode();
    out.set_request(encode.request);
    *out.mutable_prompt() = options_of(encode.prompt);
    out.set_token_side(encode.prompt.picture.token_side);
  }
  void operator()(const Denoise& denoise) {
    auto& out = *message.mutable_denoise();
    out.set_picture(denoise.picture);
    write(denoise.drawn, *out.mutable_drawn());
    write(denoise.conditioning, *out.mutable_conditioning());
    tensors = tensors_of(denoise.conditioning);
  }
  void operator()(const Decode& decode) {
    auto& out = *message.mutable_decode();
    out.set_picture(decode.picture);
    write(decode.drawn, *out.mutable_drawn());
    tensors = {decode.latents};
  }
  void operator()(const Present&) { message.mutable_present(); }
  void operator()(const Stop& stop) { message.mutable_stop()->set_exit_code(stop.exit_code); }

  Parcel parcel() { return {message.SerializeAsString(), std::move(tensors)}; }
};

template <typename Kind>
Parcel packed(const Kind& message) {
  Packer packer;
  std::visit(packer, message);
  return packer.parcel();
}

// Protobuf to plain structs.

[[noreturn]] void not_ours() {
  throw Aborted("a rank sent a message that this program does not know: start the same build on every host");
}

Picture read(const wire::Picture& in) {
  return {in.height(), in.width(), in.seed(), static_cast<at::ScalarType>(in.noise_dtype()), in.token_side()};
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

template <typename Wire>
Wire parsed(const std::string& bytes) {
  Wire message;
  if (!message.ParseFromString(bytes)) not_ours();
  return message;
}

Report report_of(const wire::Encoded& in, std::vector<at::Tensor> tensors) {
  return Encoded{in.request(),
                 in.seconds(),
                 {in.warnings().begin(), in.warnings().end()},
                 read(in.conditioning(), std::move(tensors))};
}

Order order_of(const wire::Denoise& in, std::vector<at::Tensor> tensors) {
  return Denoise{in.picture(), read(in.drawn()), read(in.conditioning(), std::move(tensors))};
}

}  // namespace

Parcel pack(const Report& report) { return packed(report); }

Parcel pack(const Order& order) { return packed(order); }

Parcel pack_shapes(const Denoise& order) {
  Packer packer;
  packer(order);
  packer.tensors.clear();
  return packer.parcel();
}

Message unpack(Parcel parcel) {
  const auto message = parsed<wire::Message>(parcel.header);
  switch (message.kind_case()) {
    case wire::Message::kReady:
      return Report(Ready{});
    case wire::Message::kStep:
      return Report(
          Step{message.step().picture(), message.step().step(), message.step().steps(), message.step().peak_memory()});
    case wire::Message::kEncoded:
      return report_of(message.encoded(), std::move(parcel.tensors));
    case wire::Message::kDenoised:
      return Report(Denoised{message.denoised().picture(), message.denoised().seconds(), only(parcel.tensors)});
    case wire::Message::kDecoded:
      return Report(Decoded{message.decoded().picture(),
                            message.decoded().seconds(),
                            {only(parcel.tensors), message.decoded().warning()}});
    case wire::Message::kWritten:
      return Report(Written{});
    case wire::Message::kRequestFailed:
      return Report(RequestFailed{message.request_failed().request(), message.request_failed().why()});
    case wire::Message::kPictureFailed:
      return Report(PictureFailed{message.picture_failed().picture(), message.picture_failed().why()});
    case wire::Message::kToldToDrain:
      return Report(ToldToDrain{});
    case wire::Message::kRankFailed:
      return Report(RankFailed{message.rank_failed().invalid(), message.rank_failed().why()});
    case wire::Message::kEncode:
      return Order(
          Encode{message.encode().request(), prompt_of(message.encode().prompt(), message.encode().token_side())});
    case wire::Message::kDenoise:
      return order_of(message.denoise(), std::move(parcel.tensors));
    case wire::Message::kDecode:
      return Order(Decode{message.decode().picture(), read(message.decode().drawn()), only(parcel.tensors)});
    case wire::Message::kPresent:
      return Order(Present{});
    case wire::Message::kStop:
      return Order(Stop{message.stop().exit_code()});
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
  for (const auto& address : hello.facts.host_addresses) out.add_host_addresses(address);
  for (const auto& card : hello.facts.cards) {
    auto& to = *out.add_cards();
    to.set_index(card.index);
    to.set_uuid(card.uuid);
    to.set_name(card.name);
    to.set_capability(card.capability);
    to.set_total_bytes(card.total_bytes);
    to.mutable_distances()->Assign(card.distances.begin(), card.distances.end());
  }
  out.set_image_tokens(hello.workload.largest.image_tokens);
  out.set_text_tokens(hello.workload.largest.text_tokens);
  out.set_pictures(hello.workload.pictures);
  out.set_steps(hello.workload.steps);
  return out.SerializeAsString();
}

Hello unpack_hello(const std::string& bytes) {
  const auto in = parsed<wire::Hello>(bytes);
  Hello hello{{in.host(), in.process(), in.cores(), {}, {in.host_addresses().begin(), in.host_addresses().end()}},
              {{in.image_tokens(), in.text_tokens()}, in.pictures(), in.steps()}};
  for (const auto& card : in.cards()) {
    if (card.distances_size() != 0 && card.distances_size() != in.cards_size()) not_ours();
    hello.facts.cards.push_back({card.index(),
                                 card.uuid(),
                                 card.name(),
                                 card.capability(),
                                 card.total_bytes(),
                                 {card.distances().begin(), card.distances().end()}});
  }
  return hello;
}

}  // namespace flux
