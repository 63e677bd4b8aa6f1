#include "runtime/agreement.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <string>
#include <vector>

#include "parallel/rank/errors.h"
#include "runtime/fit.h"
#include "runtime/inspection.h"
#include "runtime/messages.h"
#include "runtime/rank_facts.h"
#include "runtime/roll_call.h"

namespace flux {

void require_complete(const ModelFolder& folder) {
  for (const auto& component : inspect(folder).components) {
    const auto where = (folder.path / component.name).string();
    const auto advice = fmt::format("flux-dist inspect --model {} lists everything", folder.path.string());
    if (!component.error.empty()) throw Invalid(component.error);
    if (component.complete() && !component.unexpected.empty())
      spdlog::warn("{}: its config leaves {} of its tensors out, such as {}; {}", where, component.unexpected.size(),
                   component.unexpected.front(), advice);
    if (component.complete()) continue;
    if (!component.missing.empty())
      throw Invalid(fmt::format("{} lacks {}; {}", where, component.missing.front(), advice));
    const Mismatch& mismatch = component.mismatches.front();
    throw Invalid(
        fmt::format("{}: {} is {}, not {}; {}", where, mismatch.name, mismatch.found, mismatch.expected, advice));
  }
}

void say_how_ranks_are_shared(const Placement& placement) {
  if (placement.ranks.size() > 2) spdlog::info("{}", shared_out_as_text(placement));
  if (placement.formats != Formats{}) spdlog::info("quantized: {}", as_text(placement.formats));
  if (placement.encoder_residency == Residency::streamed) spdlog::info("text encoder and modulation streamed");
  if (const auto& shares = placement.demand.shares; !shares.empty()) spdlog::info("shares {}", fmt::join(shares, ", "));
  for (const std::string& line : placement.warnings()) spdlog::warn("{}", line);
}

Agreement agree(World& world, const ModelFolder& folder, const PlacementOptions& options, int threads,
                const Workload& mine) {
  Hello hello;
  PlacementOptions settled = options;
  together(world, [&] {
    settled.formats = with_stored_formats(options.formats, folder);
    hello.facts = rank_facts(options.device);
  });
  hello.workload = mine;
  std::vector<RankFacts> facts;
  const std::vector<Hello> all = introduce(world, hello);
  for (const Hello& each : all) facts.push_back(each.facts);
  Workload workload = all[Placement::coordinator].workload;
  Agreement agreement{{}, workload.largest.anything()};
  if (!agreement.drawable) workload = {};
  together(world, [&] {
    const std::vector<Placement> possible = placements(settled, threads, facts, workload);
    agreement.placement = agreement.drawable ? fit_to_cards(possible, folder, settled, facts) : possible.front();
    const auto& by_speed = possible.front().demand.shares;
    if (world.rank() == Placement::coordinator && agreement.placement.demand.shares != by_speed)
      spdlog::warn("--shares-from: by speed shares would be {}, for which a card lacks the memory",
                   fmt::join(by_speed, ", "));
  });
  return agreement;
}

}  // namespace flux
