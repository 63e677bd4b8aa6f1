#pragma once

#include <string>
#include <string_view>

#include "runtime/options.h"

namespace flux {

/// The default logger: standard error (rank 0 in full, the others from warnings on), and a file a rank in the log
/// folder. Whatever is said is one harmless line (model/files/printable.h). Throws Invalid for a folder that cannot be
/// written.
void start_logging(const OperationOptions& operation, int rank);

/// One harmless line on standard error, whatever the log level.
void say_error(std::string_view text);

}  // namespace flux
