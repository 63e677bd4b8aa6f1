#include "model/hugging_face_cache.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string_view>

#include "model/files/readable_file.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

namespace fs = std::filesystem;

fs::path environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// ~ stands for the home folder also where no shell has replaced it, as huggingface_hub has it.
fs::path folder_in(const char* name) {
  const fs::path folder = environment(name);
  const std::string text = folder.string();
  return text == "~" || text.starts_with("~/") ? environment("HOME") / fs::path(text.substr(1)).relative_path()
                                               : folder;
}

/// What a commit or a name consists of; never a path.
bool is_plain(std::string_view text) {
  return !text.empty() && !text.starts_with('.') && text.find("..") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; });
}

std::string first_word(const fs::path& path) {
  constexpr int64_t longest = 256;
  const ReadableFile file(path);
  std::string text(static_cast<size_t>(std::min(file.size(), longest)), '\0');
  file.read(0, text.data(), static_cast<int64_t>(text.size()));
  return text.substr(0, text.find_first_of(" \r\n"));
}

}  // namespace

fs::path hugging_face_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const fs::path cache = folder_in(name); !cache.empty()) return cache;
  }
  if (const fs::path home = folder_in("HF_HOME"); !home.empty()) return home / "hub";
  if (const fs::path xdg = folder_in("XDG_CACHE_HOME"); !xdg.empty()) return xdg / "huggingface" / "hub";
  return environment("HOME") / ".cache" / "huggingface" / "hub";
}

bool is_model_id(const std::string& model) {
  const size_t slash = model.find('/');
  return slash != std::string::npos && is_plain(model.substr(0, slash)) && is_plain(model.substr(slash + 1));
}

fs::path cached_model(const std::string& id) {
  const size_t slash = id.find('/');
  const fs::path cache = hugging_face_cache();
  const fs::path folder = cache / ("models--" + id.substr(0, slash) + "--" + id.substr(slash + 1));
  const std::string advice = "; download it with `hf download " + id + "`, or give the path of its folder";
  std::error_code ignored;
  if (!fs::exists(folder / "refs" / "main", ignored)) {
    throw Invalid(id + ": is neither a folder here nor in the Hugging Face cache " + cache.string() + advice);
  }
  const std::string commit = first_word(folder / "refs" / "main");
  const fs::path snapshot = folder / "snapshots" / commit;
  if (!is_plain(commit) || !fs::is_directory(snapshot, ignored)) {
    throw Invalid(folder.string() + ": has no snapshot of the main branch" + advice);
  }
  return snapshot;
}

}  // namespace flux
