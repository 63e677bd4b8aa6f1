#include "parallel/world.h"

#include <fmt/format.h>

namespace flux {

void World::abort(std::string_view why) noexcept { end({3, fmt::format("rank {}: {}", rank(), why)}); }

}  // namespace flux
