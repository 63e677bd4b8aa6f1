#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "parallel/host_group.h"

namespace flux {

/// Memory of a host that the ranks of a group share and their cards read and write by themselves (pinned). Zeros at
/// first; it has no name that could outlive the ranks.
struct HostMemory {
  std::shared_ptr<char> data;
  std::string refused;  // why there is none, on every rank the same
};

/// Collective; every rank is on one host.
HostMemory shared_host_memory(HostGroup& group, size_t bytes);

}  // namespace flux
