#include "runtime/generate.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>
#include <optional>
#include <utility>

#include "model/full_precision.h"
#include "parallel/rank/errors.h"
#include "runtime/coordinator.h"
#include "runtime/inspection.h"
#include "runtime/rank_facts.h"

namespace flux {
namespace {

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

/// What only rank 0 can know is wrong, before anything is loaded.
OutputFolder checked(const GenerateRequest& request) {
  if (request.jobs.empty()) throw Invalid("there is nothing to draw: give --prompt or --prompts");
  require_complete(request.folder);
  return OutputFolder(request.output);
}

/// Everybody's facts, and the first error that a rank has.
struct Roll {
  std::vector<RankFacts> facts;
  std::string error;
};

Roll call_roll(const Hello& mine, World& world) {
  Roll roll;
  for (const auto& bytes : world.exchange(pack(mine))) {
    Hello hello = unpack_hello(bytes);
    if (roll.error.empty()) roll.error = hello.error;
    roll.facts.push_back(std::move(hello.facts));
  }
  return roll;
}

bool anything_to_draw(const std::vector<Job>& jobs) {
  return std::any_of(jobs.begin(), jobs.end(), [](const Job& job) { return job.error.empty(); });
}

/// The coordinator's placement, on every rank; without ranks when there is nothing that can be drawn.
Assign assign(const GenerateRequest& request, const Roll& roll, World& world) {
  Assign mine;
  mine.error = roll.error;
  if (world.rank() == Placement::encoder && mine.error.empty()) {
    try {
      const auto placement = place(request.placement, request.operation.threads, roll.facts, demand_of(request.jobs));
      if (anything_to_draw(request.jobs)) mine.placement = placement;
    } catch (const Invalid& error) {
      mine.error = error.what();
    }
  }
  return unpack_assign(world.exchange(pack(mine))[Placement::encoder]);
}

/// Results go to stdout, one line each.
void print_result(const Record& record, const RunFacts& facts, const GenerateRequest& request) {
  if (request.operation.json)
    std::cout << result_line(record, facts, request.output.folder) << std::endl;
  else if (record.drawn())
    std::cout << (request.output.folder / record.file).string() << std::endl;
}

void tell_others(const Stop& stop, World& world) {
  for (int rank = 0; rank < world.size(); ++rank)
    if (rank != world.rank()) world.mailbox().send(rank, pack(Message(stop)));
}

/// Everybody else returns what the coordinator returns.
int dismiss(const Outcome& outcome, World& world) {
  if (outcome.exit_code > 1)
    world.end({outcome.exit_code, outcome.why});
  else
    tell_others({outcome.exit_code}, world);
  return outcome.exit_code;
}

/// Rank 0.
int coordinate(const GenerateRequest& request, OutputFolder folder, const Placement& placement, World& world,
               const Departure& departure) {
  const RunFacts facts{request.folder.path.string(), placement};
  Progress progress(request.operation.progress, static_cast<int64_t>(request.jobs.size()));
  Sink sink(std::move(folder), facts, [&](const Record& record) {
    progress.recorded(record);
    print_result(record, facts, request);
    progress.show();
    world.mailbox().send(world.rank(), pack(Message(Written{record.job.index})));
  });
  for (const auto& job : request.jobs)
    if (!job.error.empty()) sink.put({job, "", job.error, -1, {}, {}}, std::nullopt);
  if (placement.ranks.empty()) return 1;

  Worker worker(published(request.folder), placement, world);
  Coordinator coordinator({world, worker, sink, progress, departure}, placement, request.operation);
  Outcome outcome = coordinator.run(request.jobs);
  const bool gallery = sink.finish();
  progress.finish();
  if (outcome.exit_code == 0 && (progress.failed() > 0 || !gallery)) outcome.exit_code = 1;
  return dismiss(outcome, world);
}

}  // namespace

int run_generate(const GenerateRequest& request, World& world, Departure& departure) {
  const bool coordinates = world.rank() == Placement::encoder;
  std::optional<OutputFolder> folder;
  Hello hello;
  try {
    hello.facts = rank_facts(request.placement.device);
    if (coordinates) folder = checked(request);
  } catch (const Invalid& error) {
    hello.error = error.what();
  }
  const Roll roll = call_roll(hello, world);
  const Assign assigned = assign(request, roll, world);
  if (!assigned.error.empty()) {
    if (coordinates) spdlog::error("{}", assigned.error);
    return 2;
  }
  const Placement& placement = assigned.placement;
  demand_full_precision();
  departure.answer_signals_within(std::chrono::milliseconds(1800));
  try {
    if (coordinates) return coordinate(request, std::move(*folder), placement, world, departure);
    if (placement.ranks.empty()) return 1;
    return work(published(request.folder), placement, world, request.operation, departure);
  } catch (const std::exception& error) {
    world.abort(error.what());  // which says it, if nobody aborted before
    return 3;
  }
}

}  // namespace flux
