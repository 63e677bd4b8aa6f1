# What holds for all code of this project: the standard, warnings, optimisation, compiler cache and linker.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CUDA_FLAGS_RELEASE "-O2 -DNDEBUG")

# Definitions are the same everywhere, since the rooms share one precompiled header.
add_compile_definitions(OMPI_SKIP_MPICXX FLUX_CUDA=$<BOOL:${FLUX_CUDA}>)
include_directories(${PROJECT_SOURCE_DIR})
# -fpch-preprocess: ccache asks for it beside a precompiled header.
add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>)
set(FLUX_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Werror)

find_program(ccache ccache)
if(ccache AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${ccache})
  set(CMAKE_CUDA_COMPILER_LAUNCHER env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} ${ccache})
endif()
find_program(mold mold)
if(mold AND NOT CMAKE_LINKER_TYPE)
  set(CMAKE_LINKER_TYPE MOLD)
endif()

# flux_target(target): the warnings and the precompiled header; ATen costs seconds a file. flux_parallel owns it.
function(flux_target target)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${FLUX_WARNINGS}>")
  if(target STREQUAL flux_parallel)
    target_precompile_headers(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:<ATen/ATen.h$<ANGLE-R>>")
  else()
    target_precompile_headers(${target} REUSE_FROM flux_parallel)
  endif()
endfunction()

# flux_room(name): the library flux_<name> of all sources in this folder. Those that need CUDA only where it is built.
function(flux_room name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.h *.cc)
  list(FILTER sources EXCLUDE REGEX /main.cc$)
  if(FLUX_CUDA)
    file(GLOB_RECURSE kernels CONFIGURE_DEPENDS *.cu *.cuh)
  else()
    list(FILTER sources EXCLUDE REGEX "/(nccl|cuda)/")
  endif()
  add_library(flux_${name} STATIC ${sources} ${kernels})
  flux_target(flux_${name})
endfunction()
