#include <iostream>

#include "launch/verbs.h"
#include "runtime/inspection.h"
#include "runtime/options/convert.h"

namespace flux {

int inspect(const Settings& settings) {
  const Inspection inspection = inspect(ModelFolder(model_path(settings)));
  const bool json = operation_options(settings).json;
  std::cout << (json ? as_json(inspection) : as_text(inspection)) << std::flush;
  return inspection.complete() ? 0 : 2;
}

}  // namespace flux
