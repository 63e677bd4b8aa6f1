#include "model/hugging_face_cache.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <ranges>
#include <string_view>
#include <system_error>
#include <vector>

#include "model/files/printable.h"
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

/// A branch may have slashes in its name, as refs/pr/7 has.
bool is_revision(const std::string& revision) {
  return std::ranges::all_of(revision | std::views::split('/'),
                             [](auto part) { return is_plain(std::string_view(part.begin(), part.end())); }) &&
         !revision.empty();
}

std::vector<std::string> snapshots_in(const fs::path& repository) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator entry(repository / "snapshots", failed), end; !failed && entry != end;
       entry.increment(failed)) {
    names.push_back(entry->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

/// The commit that a branch, a tag or a commit stands for, nothing when the cache does not know it.
std::string commit_of(const fs::path& repository, const std::string& revision) {
  const fs::path ref = repository / "refs" / revision;
  return present(ref) ? first_word(ref) : revision;
}

std::string list_of(const std::vector<std::string>& names) {
  constexpr size_t shown = 4;
  std::string list;
  for (size_t i = 0; i < std::min(names.size(), shown); ++i) list += (i > 0 ? ", " : "") + quoted_name(names[i]);
  return list + (names.size() > shown ? ", ..." : "");
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

fs::path cached_model(const std::string& id, const std::optional<std::string>& revision) {
  if (!is_model_id(id))
    throw Invalid(id + ": is no model id such as black-forest-labs/FLUX.1-dev; only they have revisions");
  if (revision && !is_revision(*revision))
    throw Invalid("the revision " + quoted_name(*revision) + " is no branch, tag or commit");
  const size_t slash = id.find('/');
  const fs::path cache = hugging_face_cache();
  const fs::path repository = cache / ("models--" + id.substr(0, slash) + "--" + id.substr(slash + 1));
  const std::string download = "`hf download " + id + (revision ? " --revision " + *revision : "") + "`";
  if (!present(repository)) {
    throw Invalid(id + ": is neither a folder here nor in the Hugging Face cache " + cache.string() +
                  "; download it with " + download + ", or give the path of its folder");
  }
  const std::vector<std::string> snapshots = snapshots_in(repository);
  const bool unnamed = !revision && !present(repository / "refs" / "main");
  if (unnamed && snapshots.size() > 1) {
    throw Invalid(repository.string() + ": holds several snapshots (" + list_of(snapshots) +
                  ") and no refs/main says which is meant; say --revision");
  }
  const std::string commit =
      unnamed && !snapshots.empty() ? snapshots.front() : commit_of(repository, revision.value_or("main"));
  if (std::ranges::find(snapshots, commit) == snapshots.end()) {
    throw Invalid(repository.string() + ": has no snapshot of " + quoted_name(revision.value_or("main")) +
                  (snapshots.empty() ? "" : ", only " + list_of(snapshots)) + "; download it with " + download);
  }
  return repository / "snapshots" / commit;
}

}  // namespace flux
