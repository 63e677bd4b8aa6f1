# cmake -C .cmake/thread_sanitizer.cmake: everything under ThreadSanitizer, for the CPU. libtorch is not compiled with it:
# run with TSAN_OPTIONS=suppressions=tests/thread_sanitizer.supp. tests/run.sh runs a part of this in every build.
set(FLUX_CUDA OFF CACHE BOOL "")
set(CMAKE_CXX_FLAGS "-fsanitize=thread -g1 -Wno-tsan" CACHE STRING "")
