#pragma once

#include <ATen/ATen.h>
#include <nccl.h>

#include "parallel/host_group.h"

namespace flux {

/// What gathers and broadcasts go by.
enum class Way {
  kernels,   // NCCL's: between hosts
  peers,     // copy engines from card to card
  the_host,  // copy engines through the host's memory: between cards that do not reach each other, as GeForce
};

struct Introduction {
  ncclUniqueId id;
  Way way;
};

/// Collective. The same on every rank, and so are faults: throws Invalid where a rank has no card, or two share one.
Introduction introduce(HostGroup& host, at::Device device);

}  // namespace flux
