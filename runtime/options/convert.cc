#include "runtime/options/convert.h"

#include <fmt/format.h>

#include <charconv>
#include <string>
#include <system_error>

#include "model/files/printable.h"
#include "model/hugging_face_cache.h"
#include "parallel/rank/errors.h"
#include "runtime/card_steps.h"
#include "runtime/options.pb.h"
#include "runtime/options/field.h"

namespace flux {
namespace {

DeviceChoice plain(proto::Device::Value value) {
  switch (value) {
    case proto::Device::auto_:
      return DeviceChoice::automatic;
    case proto::Device::cpu:
      return DeviceChoice::cpu;
    case proto::Device::cuda:
      return DeviceChoice::cuda;
  }
  throw std::logic_error("device");
}

DtypeChoice plain(proto::Dtype::Value value) {
  switch (value) {
    case proto::Dtype::auto_:
      return DtypeChoice::automatic;
    case proto::Dtype::fp32:
      return DtypeChoice::fp32;
    case proto::Dtype::bf16:
      return DtypeChoice::bf16;
    case proto::Dtype::fp16:
      return DtypeChoice::fp16;
  }
  throw std::logic_error("dtype");
}

std::optional<Format> plain(proto::Quantization::Value value) {
  switch (value) {
    case proto::Quantization::auto_:
      return std::nullopt;
    case proto::Quantization::none:
      return Format::dense;
    case proto::Quantization::int8:
      return Format::int8;
    case proto::Quantization::int8_weights:
      return Format::int8_weights;
    case proto::Quantization::int8_outliers:
      return Format::int8_outliers;
    case proto::Quantization::fp8_weights:
      return Format::fp8_weights;
    case proto::Quantization::nf4:
      return Format::nf4;
    case proto::Quantization::fp4:
      return Format::fp4;
    case proto::Quantization::fp8:
      return Format::fp8;
  }
  throw std::logic_error("quantization");
}

Format plain(proto::Exchange::Value value) {
  switch (value) {
    case proto::Exchange::none:
      return Format::dense;
    case proto::Exchange::int8:
      return Format::int8;
    case proto::Exchange::fp8:
      return Format::fp8;
  }
  throw std::logic_error("exchange");
}

Format plain(proto::AttentionFormat::Value value) {
  switch (value) {
    case proto::AttentionFormat::none:
      return Format::dense;
    case proto::AttentionFormat::fp8:
      return Format::fp8;
  }
  throw std::logic_error("attention");
}

std::optional<ContextParallel> plain(proto::ContextParallel::Value value) {
  switch (value) {
    case proto::ContextParallel::auto_:
      return std::nullopt;
    case proto::ContextParallel::gather:
      return ContextParallel::gather;
    case proto::ContextParallel::ulysses:
      return ContextParallel::ulysses;
  }
  throw std::logic_error("context parallel");
}

std::optional<DecodeOn> plain(proto::DecodeOn::Value value) {
  switch (value) {
    case proto::DecodeOn::auto_:
      return std::nullopt;
    case proto::DecodeOn::encoder:
      return DecodeOn::encoder;
    case proto::DecodeOn::replica:
      return DecodeOn::replica;
  }
  throw std::logic_error("decode");
}

std::optional<Residency> plain(proto::Residency::Value value) {
  switch (value) {
    case proto::Residency::auto_:
      return std::nullopt;
    case proto::Residency::resident:
      return Residency::resident;
    case proto::Residency::streamed:
      return Residency::streamed;
  }
  throw std::logic_error("residency");
}

TransportChoice plain(proto::Transport::Value value) {
  switch (value) {
    case proto::Transport::auto_:
      return TransportChoice::automatic;
    case proto::Transport::mpi:
      return TransportChoice::mpi;
    case proto::Transport::nccl:
      return TransportChoice::nccl;
  }
  throw std::logic_error("transport");
}

Optimize plain(proto::Optimize::Value value) {
  switch (value) {
    case proto::Optimize::auto_:
      return Optimize::automatic;
    case proto::Optimize::latency:
      return Optimize::latency;
    case proto::Optimize::throughput:
      return Optimize::throughput;
  }
  throw std::logic_error("optimize");
}

Measure plain(proto::Measure::Value value) {
  switch (value) {
    case proto::Measure::step:
      return Measure::step;
    case proto::Measure::decode:
      return Measure::decode;
    case proto::Measure::stages:
      return Measure::stages;
    case proto::Measure::comm:
      return Measure::comm;
    case proto::Measure::throughput:
      return Measure::throughput;
    case proto::Measure::compare:
      return Measure::compare;
  }
  throw std::logic_error("measure");
}

OutputForm plain(proto::OutputForm::Value value) {
  switch (value) {
    case proto::OutputForm::text:
      return OutputForm::text;
    case proto::OutputForm::md:
      return OutputForm::markdown;
    case proto::OutputForm::csv:
      return OutputForm::csv;
    case proto::OutputForm::jsonl:
      return OutputForm::json_lines;
    case proto::OutputForm::json:
      return OutputForm::json;
  }
  throw std::logic_error("output_format");
}

ProgressStyle plain(proto::Progress::Value value) {
  switch (value) {
    case proto::Progress::auto_:
      return ProgressStyle::automatic;
    case proto::Progress::bar:
      return ProgressStyle::bar;
    case proto::Progress::lines:
      return ProgressStyle::lines;
    case proto::Progress::none:
      return ProgressStyle::none;
  }
  throw std::logic_error("progress");
}

constexpr int64_t most_parts = 100'000;

Previous previous(const proto::Options& options) {
  if (options.allow_changes() && !options.resume()) throw Invalid("--allow-changes is for --resume");
  if (options.retry_poisoned() && !options.resume()) throw Invalid("--retry-poisoned is for --resume");
  if (options.resume()) return Previous::resume;
  return options.overwrite() ? Previous::overwrite : Previous::refuse;
}

}  // namespace

TextOptions text_options(const Settings& settings) {
  const proto::Options& options = settings.message();
  TextOptions text{options.prompt(), options.prompt_2(), {}};
  if (options.has_max_sequence_length()) text.max_sequence_length = options.max_sequence_length();
  return text;
}

PlanOptions plan_options(const Settings& settings) {
  const proto::Options& options = settings.message();
  PlanOptions plan{.ranks = options.has_ranks() ? std::optional<int>(options.ranks()) : std::nullopt,
                   .cards = {options.cards().begin(), options.cards().end()},
                   .num_inference_steps = options.num_inference_steps(),
                   .sigmas = {options.sigmas().begin(), options.sigmas().end()},
                   .max_sequence_length = options.max_sequence_length(),
                   .simulate = options.simulate()};
  if (!plan.sigmas.empty()) plan.num_inference_steps = options.sigmas_size();
  return plan;
}

BenchOptions bench_options(const Settings& settings) {
  const proto::Options& options = settings.message();
  return {.measure = plain(options.measure()),
          .max_sequence_length = options.max_sequence_length(),
          .num_inference_steps = options.num_inference_steps(),
          .repetitions = options.repetitions(),
          .random_weights = options.random_weights(),
          .trace = options.trace(),
          .serialized = options.serialized(),
          .form = options.json() ? OutputForm::json : plain(options.output_format())};
}

PlacementOptions placement_options(const Settings& settings) {
  const proto::Options& options = settings.message();
  PlacementOptions placement;
  placement.device = plain(options.device());
  placement.dtype = plain(options.dtype());
  placement.formats = {plain(options.quantize()), plain(options.quantize_text_encoder()),
                       plain(options.quantize_modulation()), plain(options.exchange()),
                       plain(options.quantize_attention())};
  placement.context_parallel = plain(options.context_parallel());
  if (placement.formats.modulation == Format::int8_outliers)
    throw Invalid(
        "--quantize-modulation int8-outliers: outliers are found in the rows of one step, and the modulation is "
        "computed for all steps at once; give int8-weights");
  if (placement.formats.attention != Format::dense && placement.formats.exchange != Format::dense)
    throw Invalid(
        "--exchange and --quantize-attention: keys and values travel as the codes that are attended to; leave out "
        "--exchange");
  placement.encoder_residency = plain(options.encoder_residency());
  if (options.has_memory_limit()) placement.memory_limit = parse_memory(options.memory_limit());
  placement.transport = plain(options.transport());
  placement.replicas.assign(options.replicas().begin(), options.replicas().end());
  if (options.has_ranks_per_replica()) placement.ranks_per_replica = options.ranks_per_replica();
  placement.optimize = plain(options.optimize());
  placement.shares.assign(options.shares().begin(), options.shares().end());
  if (options.has_shares_from()) placement.card_steps = read_card_steps(options.shares_from());
  if (options.has_encoders()) placement.encoders = options.encoders();
  placement.decode = plain(options.decode());
  return placement;
}

QuantizeFor quantize_for(const Settings& settings) {
  return settings.message().for_() == proto::QuantizeFor::bitsandbytes ? QuantizeFor::bitsandbytes
                                                                       : QuantizeFor::flux_dist;
}

OutputOptions output_options(const Settings& settings) {
  const proto::Options& options = settings.message();
  OutputOptions output{.folder = options.output_dir(),
                       .previous = previous(options),
                       .allow_changes = options.allow_changes(),
                       .part = part(settings)};
  if (settings.has("format"))
    output.format = options.format() == proto::Format::png ? ImageFormat::png : ImageFormat::jpg;
  if (!output.part.whole()) output.folder /= part_name(output.part);
  return output;
}

std::string part_name(const Part& part) { return fmt::format("part-{}-of-{}", part.number, part.of); }

Part part(const Settings& settings) {
  if (!settings.has("part")) return {};
  const std::string& text = settings.message().part();
  const char* const end = text.data() + text.size();
  Part read;
  const auto [slash, no_number] = std::from_chars(text.data(), end, read.number);
  const bool divided = no_number == std::errc() && slash != end && *slash == '/';
  const auto [stop, no_count] = std::from_chars(divided ? slash + 1 : end, end, read.of);
  if (!divided || no_count != std::errc() || stop != end || read.number < 1 || read.number > read.of ||
      read.of > most_parts)
    throw Invalid(fmt::format("{}: {} is no part such as 3/8: the third of eight", settings.origin("part"),
                              printable_line(text, 40)));
  return read;
}

OperationOptions operation_options(const Settings& settings) {
  const proto::Options& options = settings.message();
  return {.timeout = parse_duration(options.timeout()),
          .startup_timeout = parse_duration(options.startup_timeout()),
          .threads = options.threads(),
          .progress = plain(options.progress()),
          .log_level = proto::LogLevel::Value_Name(options.log_level()),
          .log_folder = options.log_dir(),
          .metrics_file = options.metrics_file(),
          .metrics_address = options.metrics_address(),
          .json = options.json()};
}

uint64_t run_seed(const Settings& settings) { return settings.message().seed(); }

Deadlines deadlines(const Settings& settings) {
  const OperationOptions operation = operation_options(settings);
  return {.collective = operation.timeout, .startup = operation.startup_timeout};
}

std::filesystem::path model_path(const Settings& settings) {
  if (!settings.has("model")) {
    throw Invalid("--model is missing: a diffusers folder of FLUX.1, or an id such as black-forest-labs/FLUX.1-dev");
  }
  const proto::Options& options = settings.message();
  if (!options.has_revision()) return options.model();
  return cached_model(options.model(), options.revision());
}

}  // namespace flux
