#pragma once

#include <string>

#include "parallel/rank/libraries.h"

namespace flux {

/// Which program this is and what it stands on, as far as that can change a picture.
struct Versions {
  std::string program;   // 0.2.0
  std::string revision;  // the commit, 12 hex digits, with "-dirty" when what was compiled differs; or "unknown"
  LibraryReleases libraries;
  std::string protobuf;
  std::string driver;  // empty without one
};

const Versions& versions();

/// flux-dist --version
std::string version_text();

/// Of the project and of its sources, in a file that every build writes (.cmake/revision.cmake).
extern const char* const program_version;
extern const char* const program_revision;

}  // namespace flux
