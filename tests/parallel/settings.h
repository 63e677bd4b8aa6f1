#pragma once

// The transports that the suite of collectives runs over; each works over threads and under mpirun.

#include "tests/parallel/cards.h"
#include "tests/parallel/collectives_suite.h"

namespace flux::collectives {

/// Host memory.
inline Setting on_cpu() {
  return {[](const World&) { return at::Device(at::kCPU); },
          [](World& world, at::Device device) { return everybody(world, device); }, [](int) { return ""; }};
}

/// CUDA tensors of ranks that may share a card.
inline Setting on_shared_cards() {
  return {card_of, [](World& world, at::Device device) { return everybody(world, device); }, no_card};
}

inline Setting over_nccl() {
  return {card_of,
          [](World& world, at::Device device) { return world.group(all_ranks(world), Transport::nccl, device); },
          too_few_cards};
}

}  // namespace flux::collectives
