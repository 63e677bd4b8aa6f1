#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace flux {

/// The folder that tests/reference/NAME.py filled. ctest runs the script first; by hand:
/// `$FLUX_VENV/bin/python tests/reference/NAME.py build/reference/NAME`.
inline std::filesystem::path reference(const std::string& name) {
  const char* moved = std::getenv("FLUX_REFERENCE_DIR");
  const auto folder = std::filesystem::path(moved != nullptr ? moved : FLUX_REFERENCE_DIR) / name;
  if (!std::filesystem::exists(folder)) {
    throw std::runtime_error("no " + folder.string() + ": run it through ctest, or tests/reference/" + name + ".py");
  }
  return folder;
}

}  // namespace flux
