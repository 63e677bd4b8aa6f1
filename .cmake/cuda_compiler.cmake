# nvcc from the wheels in the venv, and the architectures to compile for: the cards of this machine, or else one.
set(FLUX_CUDA_ROOT ${FLUX_SITE_PACKAGES}/nvidia/cu13)
if(NOT EXISTS ${FLUX_CUDA_ROOT}/bin/nvcc)
  message(FATAL_ERROR "No nvcc in ${FLUX_CUDA_ROOT}: run launch/quickstart.sh, or set FLUX_CUDA=OFF")
endif()

if(NOT CMAKE_CUDA_ARCHITECTURES)
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
                  OUTPUT_VARIABLE capabilities RESULT_VARIABLE failed ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(failed OR NOT capabilities MATCHES "^[0-9.\n]+$")
    set(capabilities "8.0")
  endif()
  string(REPLACE "." "" capabilities ${capabilities})
  string(REPLACE "\n" ";" capabilities ${capabilities})
  list(REMOVE_DUPLICATES capabilities)
  set(CMAKE_CUDA_ARCHITECTURES ${capabilities} CACHE STRING "CUDA architectures")
endif()
message(STATUS "CUDA architectures: ${CMAKE_CUDA_ARCHITECTURES}")

# The wheels lack the unversioned names and the lib64 folder that nvcc and CMake look for.
set(cuda_links ${CMAKE_BINARY_DIR}/cuda/lib)
file(MAKE_DIRECTORY ${cuda_links})
file(CREATE_LINK ${FLUX_CUDA_ROOT}/lib/libcudart.so.13 ${cuda_links}/libcudart.so SYMBOLIC)
foreach(library libcudart_static.a libcudadevrt.a)
  file(CREATE_LINK ${FLUX_CUDA_ROOT}/lib/${library} ${cuda_links}/${library} SYMBOLIC)
endforeach()

set(CMAKE_CUDA_COMPILER ${FLUX_CUDA_ROOT}/bin/nvcc)
set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
set(CMAKE_CUDA_FLAGS_INIT "-L${cuda_links}")
