#include <iostream>
#include <string>
#include <vector>

#include "launch/verbs.h"
#include "runtime/bench/comparison.h"
#include "runtime/options/convert.h"
#include "runtime/options/throughput_options.h"
#include "runtime/warn.h"

namespace flux {

int bench_compare(const Settings& settings) {
  const ComparedFiles files = compared_files(settings);
  const std::vector<ComparedLoad> compared =
      compare(read_results(files.baseline), read_results(files.candidate), log_warning);
  std::cout << (operation_options(settings).json ? comparison_json(compared) : comparison_table(compared))
            << std::flush;
  return 0;
}

}  // namespace flux
