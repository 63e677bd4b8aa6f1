#include "model/config.h"
#include "tests/fuzz/target.h"

// Every config.json, in a copy of the demo's folder whose other files are links.
namespace flux::fuzz {
namespace {

namespace fs = std::filesystem;

void link_demo(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(config("demo"))) {
    const fs::path copy = folder / fs::relative(entry.path(), config("demo"));
    fs::create_directories(copy.parent_path());
    if (!entry.is_directory()) fs::create_symlink(entry.path(), copy);
  }
}

Target target(const std::string& name, const std::string& file) {
  return {name, Format::json, {"demo/" + file}, [name, file](const std::string& bytes) {
            const fs::path folder = scratch() / name;
            if (!fs::exists(folder)) link_demo(folder);
            fs::remove(folder / file);
            written(name + "/" + file, bytes);
            const ModelFolder model(folder);
            model_max_length(folder / "tokenizer", 77);
          }};
}

const Registered known({
    target("model_index", "model_index.json"),
    target("scheduler_config", "scheduler/scheduler_config.json"),
    target("transformer_config", "transformer/config.json"),
    target("vae_config", "vae/config.json"),
    target("text_encoder_config", "text_encoder/config.json"),
    target("text_encoder_2_config", "text_encoder_2/config.json"),
    target("tokenizer_length", "tokenizer/tokenizer_config.json"),
});

}  // namespace
}  // namespace flux::fuzz
