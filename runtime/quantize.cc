#include "runtime/quantize.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/expected_tensors.h"
#include "model/checkpoint/refuse_tensor.h"
#include "model/checkpoint/weights.h"
#include "model/files/json_file.h"
#include "model/linear/kept_form.h"
#include "parallel/rank/errors.h"
#include "runtime/quantized_form.h"
#include "runtime/safetensors_writer.h"
#include "runtime/sink/new_file.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Invalid("cannot make " + folder.string() + ": " + error.message());
}

void require_empty(const fs::path& folder) {
  make_folder(folder);
  std::error_code error;
  const bool empty = fs::is_empty(folder, error);
  if (error) throw Invalid("cannot read " + folder.string() + ": " + error.message());
  if (!empty)
    throw Invalid(folder.string() + ": is not empty" +
                  (fs::exists(folder / "model_index.json", error) ? "" : ", and holds no whole model") +
                  "; give --output-dir a new folder");
}

/// Every file of the folder, links followed; not what lies in folders within.
void copy_files(const fs::path& from, const fs::path& to) {
  make_folder(to);
  std::error_code error;
  for (fs::directory_iterator entry(from, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->is_directory(error)) continue;
    if (!error) fs::copy_file(entry->path(), to / entry->path().filename(), error);
    if (error) throw Invalid("cannot copy " + entry->path().string() + " to " + to.string() + ": " + error.message());
  }
  if (error) throw Invalid("cannot read " + from.string() + ": " + error.message());
}

/// Codes are not asked, whose scales are not finite where they are not.
void require_finite(const NamedTensors& tensors, const TensorInfo& of) {
  for (const auto& [name, values] : tensors)
    if (values.is_floating_point() && values.element_size() > 1 && !values.is_meta() &&
        !values.isfinite().all().item<bool>())
      refuse_tensor(of, "holds what is not finite; download it again");
}

/// A component on its way from one folder to another.
class Rewriting {
 public:
  Rewriting(const ModelFolder& model, std::string component, const Quantizing& how)
      : component_(std::move(component)),
        how_(how),
        tensors_(kept_for(how.reader, component_, expected_tensors(model, component_, how.formats))),
        from_(model.path / component_),
        source_(published(model).open(component_)) {}

  const std::string& component() const { return component_; }

  QuantizedComponent write(const fs::path& to) const {
    make_folder(to);
    const bool transformer = component_ == "transformer";
    const Weights weights(source_, {how_.device});
    SafetensorsWriter file(to / (transformer ? "diffusion_pytorch_model.safetensors" : "model.safetensors"),
                           announced(weights.of_shapes()));
    for (const ExpectedTensor& tensor : tensors_)
      for (const auto& [name, values] : form(tensor, weights)) file.put(name, values);
    file.finish();
    nlohmann::ordered_json config = read_json_object(from_ / "config.json");
    config["quantization_config"] = config_for(how_.reader, component_, how_.formats, tensors_);
    write_new_file(to / "config.json", config.dump(2) + "\n");
    const auto matrices =
        std::ranges::count_if(tensors_, [](const ExpectedTensor& tensor) { return tensor.kept != Format::dense; });
    return {component_, matrices, file.bytes()};
  }

 private:
  NamedTensors announced(const Weights& shapes) const {
    NamedTensors all;
    for (const ExpectedTensor& tensor : tensors_) std::ranges::move(form(tensor, shapes), std::back_inserter(all));
    return all;
  }

  /// What a tensor becomes in the new file.
  NamedTensors form(const ExpectedTensor& tensor, const Weights& weights) const {
    weights.of_shapes().tensor(tensor.name, tensor.shape);  // which says what is wrong
    const TensorInfo& info = *source_->find(tensor.name);
    if (tensor.kept == Format::dense) return {{tensor.name, as_stored(info, weights.placing().device)}};
    NamedTensors tensors = kept_form(weights.as(tensor.kept), module_of(tensor.name), tensor.shape[0], tensor.shape[1]);
    require_finite(tensors, info);
    for (auto& [name, values] : tensors) name.insert(0, tensor.name);
    return named_for(how_.reader, tensor, tensors, info.dtype);
  }

  at::Tensor as_stored(const TensorInfo& info, at::Device device) const {
    const at::Tensor values =
        at::empty(info.shape, at::TensorOptions(info.dtype).device(device.is_meta() ? at::kMeta : at::kCPU));
    if (!values.is_meta() && values.numel() > 0) source_->read(info, 0, values.dim() == 0 ? values.view({1}) : values);
    return values;
  }

  const std::string component_;
  const Quantizing how_;
  const std::vector<ExpectedTensor> tensors_;
  const fs::path from_;
  const std::shared_ptr<const TensorSource> source_;
};

bool quantizes(const Formats& formats, const std::string& component) {
  if (component == "text_encoder_2") return formats.text_encoder != Format::dense;
  return formats.transformer != Format::dense || formats.modulation != Format::dense;
}

}  // namespace

void quantize_folder(const ModelFolder& model, const Quantizing& how, const fs::path& to,
                     const std::function<void(const QuantizedComponent&)>& done) {
  std::vector<Rewriting> rewritings;
  for (const std::string component : {"transformer", "text_encoder_2"}) {
    if (model.quantization_of(component).any())
      throw Invalid(
          fmt::format("{}: is quantized already; take the folder that is not", (model.path / component).string()));
    if (quantizes(how.formats, component)) rewritings.emplace_back(model, component, how);
  }
  require_empty(to);
  for (const Rewriting& rewriting : rewritings) done(rewriting.write(to / rewriting.component()));
  for (const std::string component :
       {"scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "transformer", "vae"})
    if (std::ranges::find(rewritings, component, &Rewriting::component) == rewritings.end())
      copy_files(model.path / component, to / component);
  write_new_file(to / "model_index.json", read_json_object(model.path / "model_index.json").dump(2) + "\n");
}

}  // namespace flux
