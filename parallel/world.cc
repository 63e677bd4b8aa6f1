#include "parallel/world.h"

#include <fmt/format.h>

namespace flux {

std::string transport_name(Transport transport) {
  switch (transport) {
    case Transport::thread:
      return "thread";
    case Transport::mpi:
      return "mpi";
    case Transport::nccl:
      return "nccl";
  }
  return "";
}

void World::abort(std::string_view why) noexcept { end({kFailed, fmt::format("rank {}: {}", rank(), why)}); }

}  // namespace flux
