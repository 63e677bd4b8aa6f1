#include "runtime/warn.h"

#include <spdlog/spdlog.h>

namespace flux {

void log_warning(const std::string& text) { spdlog::warn("{}", text); }

}  // namespace flux
