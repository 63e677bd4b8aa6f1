#include "runtime/generate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/identity.h"
#include "model/reproducible_arithmetic.h"
#include "parallel/rank/errors.h"
#include "runtime/agreement.h"
#include "runtime/coordinator.h"
#include "runtime/journal.h"
#include "runtime/metrics.h"
#include "runtime/metrics_file.h"
#include "runtime/metrics_server.h"
#include "runtime/progress.h"
#include "runtime/rank_loop.h"
#include "runtime/results.h"
#include "runtime/roll_call.h"
#include "runtime/sink/folder_sink.h"
#include "runtime/suspects.h"
#include "runtime/warn.h"

namespace flux {
namespace {

/// What an early end leaves the disk time for: a launcher that told a rank to end gives it two seconds.
constexpr std::chrono::milliseconds kToSettle{700};
constexpr std::chrono::milliseconds kOrphanToSettle{300};

/// A run is gone on with where it would draw the same bits.
void require_same_bits(const PastRun& past, const RunFacts& facts) {
  const std::vector<std::string> changes = past.changes(nlohmann::json::parse(run_line(facts, 0)));
  if (!changes.empty())
    throw Invalid(
        fmt::format("--resume: pictures may come out otherwise than in the run before: {}; give "
                    "--allow-changes to go on all the same",
                    fmt::join(changes, "; ")));
}

/// What holds for the run, the same on every rank but for what rank 0 alone needs.
RunFacts facts_of(const GenerateRequest& request, const Agreement& agreement, World& world) {
  RunFacts facts{request.model, "", agreement.placement, request.seed};
  together(world, [&] {
    if (request.output == nullptr) return;
    facts.identity = model_identity(request.folder);
    const PastRun* past = request.output->past();
    if (past != nullptr && agreement.drawable && !request.allow_changes) require_same_bits(*past, facts);
  });
  return facts;
}

/// What rank 0 has besides its own part: where pictures go, and who hears of them.
struct Desk {
  Desk(const GenerateRequest& request, const RunFacts& facts, World& world, Departure& departure)
      : journal(*request.output, facts),
        suspects([&departure](int rank, const std::string& what) { departure.works_on(rank, what); }),
        progress(request.operation.progress, request.source->pictures(), request.source->pictures_there(),
                 facts.placement),
        results(facts, request.output->path(), request.operation.json),
        metrics(request.source->pictures(), request.source->pictures_there(), facts.placement),
        metrics_file(request.operation.metrics_file, metrics, log_warning),
        metrics_server(request.operation.metrics_address, metrics, log_warning),
        log({&journal, &suspects, &progress, &metrics, &metrics_file, &metrics_server, &results}),
        sink(*request.output, facts, [&world] { world.mailbox().send(world.rank(), pack(Report(Written{}))); }) {}

  Journal journal;  // first: nothing is told before it is written down
  Suspects suspects;
  Progress progress;
  Results results;
  Metrics metrics;
  MetricsFile metrics_file;
  MetricsServer metrics_server;
  RunLog log;
  FolderSink sink;
};

/// The exit code.
int name_bad_input(Source& source, Desk& desk) {
  desk.journal.begin();
  std::vector<Record> records;
  int code = 0;
  while (const auto request = source.next()) {
    for (int64_t k = 0; k < request->pictures; ++k) {
      records.push_back(record_of(*request, k));
      if (records.back().drawn()) continue;
      desk.log.note(Time{0}, records.back());
      code = 1;
    }
  }
  desk.sink.finish(records);
  while (!desk.sink.finished()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  if (const std::string problem = desk.sink.problem(); !problem.empty()) {
    spdlog::error("{}", problem);
    code = 1;
  }
  desk.metrics_file.finish();
  desk.progress.finish();
  desk.journal.end({code, ""});
  return code;
}

/// Every picture is there already, or bad input. Nothing is loaded. `desk`: of rank 0; others have none.
int draw_nothing(const GenerateRequest& request, Desk* desk, World& world) {
  int code = 0;
  together(world, [&] {
    if (desk != nullptr) code = name_bad_input(*request.source, *desk);
  });
  return std::stoi(world.exchange(std::to_string(code)).at(Placement::coordinator));
}

/// Rank 0's last words: what the sink still finishes, the journal's last line, the summary.
Ending conclude(Ending ending, const std::set<std::string>& suspects, Coordinator& coordinator, Desk& desk,
                World& world, std::chrono::milliseconds to_settle) {
  const auto try_to = [&](const std::function<void()>& act) {
    try {
      act();
    } catch (const std::exception& error) {  // the disk may be what ended the run
      if (orderly(ending.exit_code)) ending = {kFailed, error.what()};
    }
  };
  if (!orderly(ending.exit_code)) {
    world.end(ending);
    try_to([&] { coordinator.settle(to_settle); });
  }
  try_to([&] { desk.journal.end(ending, suspects); });
  desk.metrics_file.finish();
  desk.progress.finish();
  return ending;
}

int coordinate(const GenerateRequest& request, const Placement& placement, Desk& desk, World& world,
               Departure& departure) {
  Worker worker(published(request.folder), placement, world);
  Coordinator coordinator({world, *request.source, desk.sink, desk.log, departure}, placement, request.operation);
  Ending ending;
  std::set<std::string> suspects;
  try {
    ending = RankLoop{world, departure, placement, request.operation, worker, &coordinator}.run();
    if (coordinator.blames_a_request()) {
      suspects = desk.suspects.of_the_culprit();
      if (const std::optional<int> culprit = desk.suspects.culprit()) ending.why += departure.work_of(*culprit);
    }
  } catch (const Aborted& error) {  // by a rank that nobody can name
    const std::string lost = coordinator.loss();
    ending = {kFailed, error.what() + lost};
    if (lost.empty()) suspects = desk.suspects.of_all();
  } catch (const std::exception& error) {
    ending = {kFailed, error.what()};
  }
  const auto to_settle = departure.signal() == SIGHUP ? kOrphanToSettle : kToSettle;
  ending = conclude(std::move(ending), suspects, coordinator, desk, world, to_settle);
  if (!orderly(ending.exit_code)) {
    world.end(ending);
    return ending.exit_code;
  }
  if (!ending.why.empty()) spdlog::warn("{}", ending.why);
  stop_others(world, ending.exit_code);
  if (const std::string problem = desk.results.finish(); !problem.empty()) spdlog::error("{}", problem);
  return ending.exit_code;
}

int take_part(const GenerateRequest& request, const Placement& placement, World& world, Departure& departure) {
  Worker worker(published(request.folder), placement, world);
  const Ending ending = RankLoop{world, departure, placement, request.operation, worker}.run();
  if (!orderly(ending.exit_code)) world.end(ending);
  return ending.exit_code;
}

}  // namespace

int run_generate(GenerateRequest& request, World& world, Departure& departure) {
  together(world, [&] {
    if (request.output != nullptr) require_complete(request.folder);
  });
  const Workload workload = request.source ? request.source->workload() : Workload{{0, 0}, 0};
  const Agreement agreement = agree(world, request.folder, request.placement, request.operation.threads, workload);
  const RunFacts facts = facts_of(request, agreement, world);
  for (const auto& line : table(facts.placement)) spdlog::debug("{}", line);
  departure.answer_signals_within(kToAnswer);
  demand_reproducible_arithmetic();
  std::unique_ptr<Desk> desk;
  together(world, [&] {
    if (request.output != nullptr) desk = std::make_unique<Desk>(request, facts, world, departure);
  });
  if (desk != nullptr) {
    say_how_ranks_are_shared(facts.placement);
    if (const std::string url = desk->metrics_server.url(); !url.empty()) spdlog::info("metrics: {}", url);
  }
  if (!agreement.drawable) return draw_nothing(request, desk.get(), world);
  if (desk != nullptr) return coordinate(request, facts.placement, *desk, world, departure);
  return take_part(request, facts.placement, world, departure);
}

}  // namespace flux
