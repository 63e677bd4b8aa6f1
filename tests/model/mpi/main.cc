#include "tests/parallel/ranks.h"

/// Asked by the MKL within libtorch: it takes the paths here that it takes on processors of Intel's.
extern "C" [[gnu::visibility("default")]] int mkl_serv_intel_cpu_true() { return 1; }

int main(int argc, char** argv) { return flux::run_all_tests_on_ranks(argc, argv); }
