#pragma once

#include <memory>

#include "parallel/host_group.h"
#include "parallel/world.h"

namespace flux {

/// Collective over the ranks of `host`, which keeps carrying abort(). Throws Invalid when NCCL was not compiled in,
/// `device` is no CUDA device, or two ranks share a card.
std::unique_ptr<Communicator> nccl_group(std::unique_ptr<HostGroup> host, at::Device device, Deadlines deadlines);

}  // namespace flux
