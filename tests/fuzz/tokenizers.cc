#include "model/tokenizer/tokenizer.h"
#include "tests/fuzz/target.h"
#include "tests/reference.h"

// A tokenizer that was read without complaint is also used: sentencepiece follows maps out of the file.
namespace flux::fuzz {
namespace {

namespace fs = std::filesystem;

void use(const Tokenizer& tokenizer) {
  for (const char* text :
       {"a red circle, LEFT of 2 \"blue\" squares", "\u00e9\uff21\u212b\u0301 \U0001f600</s><extra_id_0>", ""})
    tokenizer(text, 77);
}

Target clip(const std::string& name, const std::string& file, Format format) {
  return {name, format, {"demo/tokenizer/" + file}, [name, file](const std::string& bytes) {
            const fs::path folder = scratch() / name;
            if (!fs::exists(folder)) fs::copy(config("demo/tokenizer"), folder);
            written(name + "/" + file, bytes);
            use(*clip_tokenizer(folder));
          }};
}

Target t5(const std::string& name, const std::string& file, Format format, std::vector<std::string> seeds) {
  return {name, format, std::move(seeds), [name, file](const std::string& bytes) {
            const fs::path folder = scratch() / name;
            if (!fs::exists(folder)) {
              fs::create_directories(folder);
              fs::copy(config("demo/tokenizer_2/tokenizer_config.json"), folder);
              // The demo's is large, and this is read for every input.
              fs::copy(source_folder() / "tests/fuzz/corpus/spiece_model/small.model", folder / "spiece.model");
            }
            written(name + "/" + file, bytes);
            use(*t5_tokenizer(folder));
          }};
}

/// Files beside a config that lists no tokens.
Target older(const std::string& name) {
  return {name,
          Format::json,
          {"demo/tokenizer/special_tokens_map.json", "demo/tokenizer/vocab.json"},
          [name](const std::string& bytes) {
            const fs::path folder = scratch() / (name + "_folder");
            if (!fs::exists(folder)) {
              fs::copy(config("demo/tokenizer"), folder);
              fs::remove(folder / "special_tokens_map.json");
              written(name + "_folder/tokenizer_config.json", R"({"model_max_length": 77})");
            }
            written(name + "_folder/" + name + ".json", bytes);
            use(*clip_tokenizer(folder));
          }};
}

/// As transformers 5 saves it: nothing else in the folder but the config.
template <class Open>
Target alone(const std::string& name, const std::string& config_file, Open open) {
  return {name, Format::json, {}, [=](const std::string& bytes) {
            const fs::path folder = scratch() / name;
            if (!fs::exists(folder)) {
              fs::create_directories(folder);
              fs::copy(config(config_file), folder);
            }
            written(name + "/tokenizer.json", bytes);
            use(*open(folder));
          }};
}

const Registered known({
    clip("vocab", "vocab.json", Format::json),
    clip("merges", "merges.txt", Format::lines),
    clip("clip_special_tokens", "tokenizer_config.json", Format::json),
    older("special_tokens_map"),
    older("added_tokens"),
    t5("spiece_model", "spiece.model", Format::protobuf, {}),
    t5("t5_special_tokens", "tokenizer_config.json", Format::json, {"demo/tokenizer_2/tokenizer_config.json"}),
    alone("clip_tokenizer_json", "demo/tokenizer/tokenizer_config.json", clip_tokenizer),
    alone("t5_tokenizer_json", "demo/tokenizer_2/tokenizer_config.json", t5_tokenizer),
});

}  // namespace
}  // namespace flux::fuzz
