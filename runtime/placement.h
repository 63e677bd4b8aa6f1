#pragma once

// Who computes what: a plain table, made once from the options and what the ranks are, printed by plan, executed by
// generate. Pure: no rank is asked anything here.

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/context_parallel.h"
#include "model/format.h"
#include "model/request.h"
#include "model/residency.h"
#include "parallel/rank/device.h"
#include "parallel/world.h"
#include "runtime/options.h"

namespace flux {

/// What a rank stands on.
struct RankFacts {
  std::string host;
  int64_t process = 0;  // id on the host: ranks as threads share it
  int cores = 1;        // usable by this process
  std::vector<Card> cards;
  std::vector<std::string> host_addresses{};
};

/// One rank's row.
struct RankPlace {
  int rank = 0;
  std::string host;
  std::vector<std::string> host_addresses;
  bool encodes = false;  // holds the text encoders and the modulation
  bool decodes = false;  // holds the VAE
  int replica = -1;      // -1: denoises nothing
  int position = -1;     // within its replica; position 0 leads
  bool text = false;     // holds text tokens and the text-stream weights
  at::Device device = at::kCPU;
  std::string card;       // UUID, empty on a CPU
  std::string card_name;  // its model
  int threads = 1;        // for ATen
  int64_t memory = 0;     // bytes that ATen may take of the card; 0: no limit
};

/// One replica of the transformer: its world ranks in the order of the sequence.
struct Replica {
  std::vector<int> ranks;
  int text_ranks = 1;
  Transport transport = Transport::thread;
  bool nvlinked = false;  // every card to every other one, as far as the driver says
};

struct Placement {
  std::vector<RankPlace> ranks;
  std::vector<Replica> replicas;
  Demand demand{};
  at::ScalarType dtype = at::kFloat;
  Formats formats{};
  std::optional<ContextParallel> context_parallel{};  // absent: exchange.h chooses
  Residency encoder_residency = Residency::resident;  // of T5 and the modulation

  static constexpr int coordinator = 0;  // a rank, which also encodes

  std::vector<int> encoders() const;  // ranks
  std::vector<int> decoders() const;  // ranks

  /// "rank 2 (host)", for messages.
  std::string named(int rank) const;

  bool within_a_host(const Replica& replica) const;

  /// What of it is slow, though it works; a line each.
  std::vector<std::string> warnings() const;
};

/// What a run is to draw.
struct Workload {
  Demand largest{};      // the longest sequence, which fixes the cut; of nothing that can be drawn, no tokens
  int64_t pictures = 1;  // how many
  double steps = 28;     // of one of them, on average, each as long as one of the largest
};

/// One entry of `ranks` for each rank of the world. Throws Invalid naming the flag, or the -n values that would fit.
/// World = encoders + the ranks of all replicas; a world of one does everything. A replica keeps within a host where
/// one has ranks enough left for it, and to one model of cards as far as they are free; warnings() says where not.
Placement place(const PlacementOptions& options, int threads, const std::vector<RankFacts>& ranks,
                const Demand& demand);

/// All ranks share one transformer, and nobody encodes or decodes: for measurements.
Placement place_one_replica(const PlacementOptions& options, int threads, const std::vector<RankFacts>& ranks,
                            const Demand& demand);

/// "none", "int8", or where the parts differ "int8, text encoder int8-weights, modulation none".
std::string as_text(const Formats& formats);

/// "4 replicas of 1 rank", "replicas of 3, 4 ranks, 2 ranks that encode, pictures decoded by the replicas".
std::string shared_out_as_text(const Placement& placement);

/// Each rank in a line.
std::vector<std::string> table(const Placement& placement);

}  // namespace flux
