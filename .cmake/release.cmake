# cmake -C .cmake/release.cmake: a build for every card that CUDA 13 and libtorch 2.11 know.
set(FLUX_CUDA ON CACHE BOOL "")
set(CMAKE_CUDA_ARCHITECTURES 75 80 86 89 90 100 120 CACHE STRING "")
