#include "runtime/quantize.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <iostream>

#include "launch/verbs.h"
#include "parallel/rank/device.h"
#include "parallel/rank/errors.h"
#include "runtime/agreement.h"
#include "runtime/options/convert.h"

namespace flux {
namespace {

/// Codes are the same wherever they are made, but of int8-outliers; a card makes them sooner.
at::Device device_of(DeviceChoice choice) {
  const auto cards = choice == DeviceChoice::cpu ? std::vector<Card>{} : visible_cards();
  if (cards.empty() && choice == DeviceChoice::cuda)
    throw Invalid("--device cuda: there is no card here; leave it out, and the CPU quantizes");
  return cards.empty() ? at::Device(at::kCPU)
                       : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(cards.front().index));
}

}  // namespace

int quantize(const Settings& settings) {
  PlacementOptions asked = placement_options(settings);
  Quantizing how{.formats = {}, .reader = quantize_for(settings), .device = device_of(asked.device)};
  // Of bitsandbytes the transformer has one format; and T5's alone is to leave the transformer as it is.
  if (!asked.formats.modulation && (how.reader == QuantizeFor::bitsandbytes || !asked.formats.transformer))
    asked.formats.modulation = asked.formats.transformer.value_or(Format::dense);
  asked.formats.exchange = asked.formats.attention = Format::dense;  // which no folder keeps
  how.formats = asked.formats.resolved(Format::dense);
  if (!settings.has("output_dir")) throw Invalid("--output-dir: say where the new folder is to be");
  if (how.formats == Formats{})
    throw Invalid(
        "--quantize: say how the transformer is to be kept (int8, fp8, int8-weights, int8-outliers, nf4, fp4)");
  const ModelFolder model(model_path(settings));
  require_complete(model);
  const c10::InferenceMode no_gradients;
  const OutputOptions output = output_options(settings);
  quantize_folder(model, how, output.folder, [&](const QuantizedComponent& component) {
    spdlog::info("{}: {} matrices quantized, {:.2f} GB", component.name, component.matrices,
                 static_cast<double>(component.bytes) * 1e-9);
  });
  std::cout << output.folder.string() << std::endl;
  return 0;
}

}  // namespace flux
