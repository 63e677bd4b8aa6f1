#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "parallel/rank/errors.h"
#include "runtime/record.h"
#include "runtime/sink/output_folder.h"

namespace flux {

/// Tests of what a run leaves in its folder.
class RunFolder : public testing::Test {
 protected:
  RunFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "flux-sink-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no folder");
    path = name;
  }
  ~RunFolder() override { std::filesystem::remove_all(path); }

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(path)) all.push_back(entry.path().filename());
    return all;
  }
  std::string content(const std::string& name) const {
    std::ifstream file(path / name, std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
  }
  std::vector<std::string> lines(const std::string& name) const {
    std::istringstream text(content(name));
    std::vector<std::string> all;
    for (std::string line; std::getline(text, line);) all.push_back(line);
    return all;
  }
  void write(const std::string& name, const std::string& bytes) const { std::ofstream(path / name) << bytes; }
  std::string refusal(OutputOptions options) const {
    options.folder = options.folder.empty() ? path : options.folder;
    try {
      OutputFolder folder(options);
    } catch (const Invalid& error) {
      return error.what();
    }
    return "taken";
  }

  std::filesystem::path path;
};

inline RunFacts one_rank() { return {"FLUX.1-dev", "0123", place({}, 0, {RankFacts{"node", 1, 2, {}}}, {})}; }

inline Record drawn(int64_t picture, const std::string& prompt) {
  Record record;
  record.picture = picture;
  record.request = "00ff";
  record.origin = "prompts.txt:" + std::to_string(picture + 1);
  record.prompt = Prompt{};
  record.prompt->prompt = prompt;
  record.prompt->picture = {32, 48, 7 + static_cast<uint64_t>(picture), at::kBFloat16};
  record.replica = 0;
  record.seconds = {0.1, 2, 0.25};
  return record;
}

}  // namespace flux
