# cmake -DSOURCE=... -DVERSION=... -DOUTPUT=... -P revision.cmake: writes the one source file that knows which program
# this is; called by every build, and the file is touched only when it says something new.
# A clone says its commit, and whether what is compiled differs from it; a tarball of `git archive` what that wrote into
# revision.txt.
function(git variable)
  execute_process(COMMAND git -c safe.directory=* -C ${SOURCE} ${ARGN} OUTPUT_VARIABLE output RESULT_VARIABLE failed
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(failed)
    set(output "unknown")
  endif()
  set(${variable} "${output}" PARENT_SCOPE)
endfunction()

set(revision unknown)
# Empty only at a repository's top: sources unpacked inside of another one are not that one's.
git(folder_in_repository rev-parse --show-prefix)
if(folder_in_repository STREQUAL "")
  git(revision rev-parse --short=12 HEAD)
  git(changes status --porcelain -- CMakeLists.txt .cmake parallel model runtime launch)
  if(NOT changes STREQUAL "")
    string(APPEND revision "-dirty")
  endif()
else()
  file(READ ${SOURCE}/.cmake/revision.txt archived)
  if(archived MATCHES "^([0-9a-f]+)\n")
    string(SUBSTRING ${CMAKE_MATCH_1} 0 12 revision)
  endif()
endif()

file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "runtime/version.h"

namespace flux {
const char* const program_version = "@VERSION@";
const char* const program_revision = "@revision@";
}  // namespace flux
]])
