#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "model/tokenizer/tokenizer.h"
#include "tests/reference.h"

namespace flux {

constexpr int64_t kNoLimit = 1'000'000;

inline std::unique_ptr<const Tokenizer> load(const std::filesystem::path& folder) {
  const bool clip = folder.filename().string().find("clip") != std::string::npos;
  return clip ? clip_tokenizer(folder) : t5_tokenizer(folder);
}

/// The tokenizers of FLUX.1, in the forms in which they are kept, and what Hugging Face's make of strings.
class RealFolders : public testing::Test {
 protected:
  const std::filesystem::path folder_ = reference("token_ids");
};

}  // namespace flux
