#include "tests/parallel/mpi/faults.h"
#include "tests/parallel/mpi/lone.h"
#include "tests/parallel/ranks.h"

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--fault") return flux::run_fault(argv[2]);
  if (argc == 3 && std::string(argv[1]) == "--lone") return flux::run_lone(argv[2]);
  return flux::run_all_tests_on_ranks(argc, argv);
}
