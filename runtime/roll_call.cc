#include "runtime/roll_call.h"

#include <fmt/format.h>

#include <string>

#include "parallel/rank/errors.h"

namespace flux {

void together(World& world, const std::function<void()>& step) {
  std::string mine;
  try {
    step();
  } catch (const Invalid& error) {
    mine = error.what();
  }
  const std::vector<std::string> problems = world.exchange(mine);
  for (size_t rank = 0; rank < problems.size(); ++rank)
    if (!problems[rank].empty())
      throw Invalid(rank == 0 ? problems[rank] : fmt::format("rank {}: {}", rank, problems[rank]));
}

std::vector<Hello> introduce(World& world, const Hello& mine) {
  std::vector<Hello> all;
  for (const std::string& bytes : world.exchange(pack(mine))) all.push_back(unpack_hello(bytes));
  return all;
}

}  // namespace flux
