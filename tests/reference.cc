#include "tests/reference.h"

#include <cstdlib>
#include <stdexcept>

namespace flux {

std::filesystem::path reference(const std::string& name) {
  const char* moved = std::getenv("FLUX_REFERENCE_DIR");
  const auto folder = std::filesystem::path(moved != nullptr ? moved : FLUX_REFERENCE_DIR) / name;
  if (!std::filesystem::exists(folder)) {
    throw std::runtime_error("no " + folder.string() + ": run it through ctest, or tests/reference/" + name + ".py");
  }
  return folder;
}

std::filesystem::path source_folder() { return FLUX_SOURCE_FOLDER; }

}  // namespace flux
