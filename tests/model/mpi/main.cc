#include "tests/parallel/ranks.h"

int main(int argc, char** argv) { return flux::run_all_tests_on_ranks(argc, argv); }
