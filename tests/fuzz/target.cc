#include "tests/fuzz/target.h"

#include <unistd.h>

#include <fstream>

#include "tests/reference.h"

namespace flux::fuzz {
namespace {

namespace fs = std::filesystem;

struct Scratch {
  Scratch() : path(fs::temp_directory_path() / ("flux-fuzz-" + std::to_string(getpid()))) {
    fs::create_directories(path);
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  fs::path path;
};

}  // namespace

std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}

Registered::Registered(std::vector<Target> more) {
  for (Target& target : more) targets().push_back(std::move(target));
}

const fs::path& scratch() {
  static const Scratch folder;
  return folder.path;
}

fs::path written(const std::string& name, const std::string& bytes) {
  const fs::path path = scratch() / name;
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  return path;
}

fs::path config(const std::string& name) { return source_folder() / "configs" / name; }

}  // namespace flux::fuzz
