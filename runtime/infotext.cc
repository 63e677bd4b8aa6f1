#include "runtime/infotext.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <string_view>

#include "runtime/version.h"

namespace flux {
namespace {

/// A value that the commas and colons around it cannot be taken for.
std::string escaped(const std::string& text) {
  if (text.find_first_of(",:\n\"") == std::string::npos) return text;
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// An empty one counts as none, as in diffusers.
std::string second_text(std::string_view name, const std::optional<std::string>& text) {
  return text && !text->empty() ? fmt::format("{}: {}, ", name, escaped(*text)) : "";
}

}  // namespace

std::string infotext(const Prompt& prompt, const std::string& model) {
  std::string text = prompt.prompt + "\n";
  if (prompt.negative_prompt) text += "Negative prompt: " + *prompt.negative_prompt + "\n";
  text += fmt::format("Steps: {}, Sampler: Euler, Schedule type: {}, CFG scale: {}, Distilled CFG Scale: {}, ",
                      prompt.num_inference_steps, prompt.sigmas.empty() ? "Simple" : "Custom",
                      prompt.true_cfg() ? prompt.true_cfg_scale : 1.0, prompt.guidance_scale);
  if (!prompt.sigmas.empty()) text += fmt::format("Sigmas: \"{}\", ", fmt::join(prompt.sigmas, ", "));
  text += second_text("Prompt 2", prompt.prompt_2) + second_text("Negative prompt 2", prompt.negative_prompt_2);
  return text + fmt::format("Seed: {}, Size: {}x{}, Model: {}, Version: flux-dist {}", prompt.picture.seed,
                            prompt.picture.width, prompt.picture.height, escaped(model), program_version);
}

std::string model_name(const std::filesystem::path& folder) {
  std::error_code unreachable;  // it keeps the name that it was given
  std::filesystem::path named = folder.has_filename() ? folder : folder.parent_path();
  if (named.filename() == "." || named.filename() == "..")
    named = std::filesystem::weakly_canonical(named, unreachable);
  constexpr std::string_view prefix = "models--";  // models--ORGANISATION--NAME/snapshots/COMMIT
  std::string id = named.parent_path().parent_path().filename();
  if (named.parent_path().filename() == "snapshots" && id.starts_with(prefix)) {
    id.erase(0, prefix.size());
    if (const size_t dashes = id.find("--"); dashes != std::string::npos) return id.replace(dashes, 2, "/");
  }
  return named.has_filename() ? named.filename().string() : folder.string();
}

}  // namespace flux
