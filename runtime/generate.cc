#include "runtime/generate.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/identity.h"
#include "model/full_precision.h"
#include "parallel/rank/errors.h"
#include "runtime/coordinator.h"
#include "runtime/inspection.h"
#include "runtime/journal.h"
#include "runtime/progress.h"
#include "runtime/rank_facts.h"
#include "runtime/rank_loop.h"
#include "runtime/results.h"
#include "runtime/roll_call.h"
#include "runtime/sink/folder_sink.h"

namespace flux {
namespace {

/// What an early end leaves the disk time for: a launcher that told a rank to end gives it two seconds.
constexpr std::chrono::milliseconds kToSettle{700};
constexpr std::chrono::milliseconds kToAnswer{1800};

/// By headers alone, so that what is missing is said before gigabytes are read.
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

/// The placement that every rank works out for itself; `drawable`: whether there is anything to draw.
struct Agreement {
  Placement placement;
  bool drawable = false;
};

Agreement agree(const GenerateRequest& request, World& world) {
  Hello mine;
  together(world, [&] { mine.facts = rank_facts(request.placement.device); });
  mine.demand = request.source ? request.source->largest() : Demand{0, 0};
  std::vector<RankFacts> facts;
  const std::vector<Hello> all = introduce(world, mine);
  for (const Hello& hello : all) facts.push_back(hello.facts);
  const Demand demand = all[Placement::coordinator].demand;
  Agreement agreement{{}, demand.anything()};
  together(world, [&] {
    agreement.placement =
        place(request.placement, request.operation.threads, facts, demand.anything() ? demand : Demand{});
  });
  return agreement;
}

/// What rank 0 has besides its own part: where pictures go, and who hears of them.
struct Desk {
  Desk(const GenerateRequest& request, OutputFolder& folder, const RunFacts& facts, World& world)
      : journal(folder, facts),
        progress(request.operation.progress, request.source->pictures(), facts.placement),
        results(facts, folder.path(), request.operation.json),
        log({&journal, &progress, &results}),
        sink(folder, facts, [&world] { world.mailbox().send(world.rank(), pack(Report(Written{}))); }) {}

  Journal journal;  // first: nothing is told before it is written down
  Progress progress;
  Results results;
  RunLog log;
  FolderSink sink;
};

/// Every request is bad: each is named, and nothing loaded.
int refuse_all(Source& source, Desk& desk) {
  desk.journal.begin();
  std::vector<Record> records;
  while (const auto request = source.next()) {
    records.push_back(record_of(*request, 0));
    desk.log.note(Time{0}, records.back());
  }
  desk.sink.finish(records);
  desk.progress.finish();
  desk.journal.end({1, ""});
  return 1;
}

void tell_others(const Stop& stop, World& world) {
  for (int rank = 0; rank < world.size(); ++rank)
    if (rank != world.rank()) world.mailbox().send(rank, pack(Order(stop)));
}

/// Rank 0's last words: what the sink still finishes, the journal's last line, the summary.
Ending conclude(Ending ending, Coordinator& coordinator, Desk& desk, World& world) {
  if (ending.exit_code > 1) world.end(ending);
  try {
    if (ending.exit_code > 1) coordinator.settle(kToSettle);
    desk.journal.end(ending);
  } catch (const std::exception& error) {  // the disk may be what ended the run
    if (ending.exit_code <= 1) ending = {3, error.what()};
  }
  desk.progress.finish();
  return ending;
}

int coordinate(GenerateRequest& request, OutputFolder& folder, const Placement& placement, bool drawable, World& world,
               Departure& departure) {
  const RunFacts facts{request.model, model_identity(request.folder), placement};
  Desk desk(request, folder, facts, world);
  if (!drawable) return refuse_all(*request.source, desk);
  Worker worker(published(request.folder), placement, world);
  Coordinator coordinator({world, *request.source, desk.sink, desk.log, departure}, placement, request.operation);
  Ending ending;
  try {
    ending = RankLoop{world, departure, placement, request.operation, worker, &coordinator}.run();
  } catch (const std::exception& error) {
    ending = {3, error.what()};
  }
  ending = conclude(std::move(ending), coordinator, desk, world);
  if (ending.exit_code > 1) {
    world.end(ending);
    return ending.exit_code;
  }
  tell_others({ending.exit_code}, world);
  if (const std::string problem = desk.results.finish(); !problem.empty()) spdlog::error("{}", problem);
  return ending.exit_code;
}

int take_part(const GenerateRequest& request, const Placement& placement, World& world, Departure& departure) {
  Worker worker(published(request.folder), placement, world);
  const Ending ending = RankLoop{world, departure, placement, request.operation, worker}.run();
  if (ending.exit_code > 1) world.end(ending);
  return ending.exit_code;
}

}  // namespace

int run_generate(GenerateRequest& request, World& world, Departure& departure) {
  std::optional<OutputFolder> folder;
  together(world, [&] {
    if (world.rank() != Placement::coordinator) return;
    require_complete(request.folder);
    folder.emplace(request.output);
    departure.on_leaving(folder->last_act());
  });
  const auto [placement, drawable] = agree(request, world);
  for (const auto& line : table(placement)) spdlog::debug("{}", line);
  departure.answer_signals_within(kToAnswer);
  demand_full_precision();
  if (folder) return coordinate(request, *folder, placement, drawable, world, departure);
  return drawable ? take_part(request, placement, world, departure) : 1;
}

}  // namespace flux
