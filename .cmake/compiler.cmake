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

# Definitions are the same everywhere, since the rooms share one precompiled header. What differs between builds stands
# in built_with.h.
add_compile_definitions(OMPI_SKIP_MPICXX)
if(FLUX_CUDA)
  set(with_cuda 1)
else()
  set(with_cuda 0)
endif()
set(FLUX_GENERATED ${PROJECT_BINARY_DIR}/generated)
configure_file(${CMAKE_CURRENT_LIST_DIR}/built_with.h.in ${FLUX_GENERATED}/built_with.h @ONLY)
include_directories(${PROJECT_SOURCE_DIR} ${FLUX_GENERATED})
add_compile_options($<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>)
# -fpch-preprocess: ccache asks for it beside a precompiled header.
add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>)
# subobject-linkage: of files compiled together, what is unnamed in one of them looks like part of a header.
set(FLUX_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wno-subobject-linkage -Werror)

# A library's files are compiled some at a time, as one that includes them, so that its headers are read and its templates
# instantiated once: names in unnamed namespaces differ within a room. Off, a changed file is compiled alone.
set(CMAKE_UNITY_BUILD ON CACHE BOOL "Compile the files of a library some at a time")

# flux_compiled_together(sources...): which with which. Those that differ between builds with and without CUDA, or are in
# one of them alone, are among themselves, so that ccache shares the others.
function(flux_compiled_together)
  set(count_of_shared 0)
  set(count_of_differing 0)
  foreach(source ${ARGN})
    file(STRINGS ${source} differs REGEX "built_with[.]h" LIMIT_COUNT 1)
    if(differs OR source MATCHES "/(nccl|cuda)/")
      set(kind differing)
    else()
      set(kind shared)
    endif()
    math(EXPR group "${count_of_${kind}} / 8")
    math(EXPR count_of_${kind} "${count_of_${kind}} + 1")
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${kind}_${group})
  endforeach()
endfunction()

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

# flux_target(target): the warnings and the precompiled header; ATen costs seconds a file. No room owns that header, since
# none of it may depend on what one of them alone is built with: with another MPI only flux_parallel is compiled again.
function(flux_target target)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${FLUX_WARNINGS}>")
  if(NOT TARGET flux_precompiled)
    file(CONFIGURE OUTPUT ${FLUX_GENERATED}/precompiled.cc CONTENT "")
    add_library(flux_precompiled OBJECT ${FLUX_GENERATED}/precompiled.cc)
    set_target_properties(flux_precompiled PROPERTIES UNITY_BUILD OFF EXPORT_COMPILE_COMMANDS OFF)
    target_compile_options(flux_precompiled PRIVATE ${FLUX_WARNINGS})
    target_link_libraries(flux_precompiled PRIVATE Torch::Torch Threads::Threads spdlog::spdlog_header_only)
    target_precompile_headers(flux_precompiled PRIVATE <ATen/ATen.h>)
  endif()
  target_precompile_headers(${target} REUSE_FROM flux_precompiled)
endfunction()

# flux_room(name): the library flux_<name> of all sources in this folder, and of the C++ that its .proto files become.
# Those that need CUDA only where it is built.
function(flux_room name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.h *.cc)
  list(FILTER sources EXCLUDE REGEX /main.cc$)
  if(FLUX_CUDA)
    file(GLOB_RECURSE kernels CONFIGURE_DEPENDS *.cu *.cuh)
  else()
    list(FILTER sources EXCLUDE REGEX "/(nccl|cuda)/")
  endif()
  set(implementations ${sources})
  list(FILTER implementations INCLUDE REGEX "[.]cc$")
  flux_compiled_together(${implementations})
  add_library(flux_${name} STATIC ${sources} ${kernels})
  set_target_properties(flux_${name} PROPERTIES UNITY_BUILD_MODE GROUP)
  flux_target(flux_${name})
  file(GLOB_RECURSE protos CONFIGURE_DEPENDS *.proto)
  if(protos)
    protobuf_generate(TARGET flux_${name} LANGUAGE cpp PROTOS ${protos} OUT_VAR generated
                      IMPORT_DIRS ${PROJECT_SOURCE_DIR} PROTOC_OUT_DIR ${PROJECT_BINARY_DIR})
    set_source_files_properties(${generated} PROPERTIES COMPILE_OPTIONS -w SKIP_PRECOMPILE_HEADERS ON)
    target_include_directories(flux_${name} SYSTEM PRIVATE ${PROJECT_BINARY_DIR})
  endif()
endfunction()
