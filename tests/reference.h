#pragma once

#include <filesystem>
#include <string>

namespace flux {

/// The folder that tests/reference/NAME.py filled. ctest runs the script first; by hand:
/// `$FLUX_VENV/bin/python tests/reference/NAME.py build/reference/NAME`.
std::filesystem::path reference(const std::string& name);

/// The checkout that the tests were built from.
std::filesystem::path source_folder();

}  // namespace flux
