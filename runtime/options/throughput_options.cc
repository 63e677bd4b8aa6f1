#include "runtime/options/throughput_options.h"

#include <stdexcept>

#include "parallel/rank/errors.h"
#include "runtime/options.pb.h"
#include "runtime/options/field.h"

namespace flux {
namespace {

Scenario plain(proto::Scenario::Value value) {
  switch (value) {
    case proto::Scenario::offline:
      return Scenario::offline;
    case proto::Scenario::server:
      return Scenario::server;
    case proto::Scenario::single_stream:
      return Scenario::single_stream;
    case proto::Scenario::trace:
      return Scenario::trace;
    case proto::Scenario::sweep:
      return Scenario::sweep;
  }
  throw std::logic_error("scenario");
}

void demand_scenario(const Settings& settings, Scenario scenario) {
  const bool rated = settings.has("request_rate");
  if (scenario == Scenario::server && !rated)
    throw Invalid("--scenario server: say how many requests come a second: --request-rate 2, or 1,2,4 to measure each");
  if (scenario != Scenario::server && rated)
    throw Invalid(settings.origin("request_rate") + ": is for --scenario server");
  if (scenario != Scenario::server && scenario != Scenario::sweep && settings.has("burstiness"))
    throw Invalid(settings.origin("burstiness") + ": is for --scenario server or sweep");
  if (scenario == Scenario::single_stream && settings.has("max_concurrency"))
    throw Invalid(settings.origin("max_concurrency") + ": is always 1 in --scenario single-stream");
}

}  // namespace

std::string scenario_name(Scenario scenario) {
  switch (scenario) {
    case Scenario::offline:
      return "offline";
    case Scenario::server:
      return "server";
    case Scenario::single_stream:
      return "single-stream";
    case Scenario::trace:
      return "trace";
    case Scenario::sweep:
      return "sweep";
  }
  throw std::logic_error("scenario");
}

ThroughputOptions throughput_options(const Settings& settings) {
  const proto::Options& options = settings.message();
  ThroughputOptions result{.scenario = plain(options.scenario()),
                           .dataset = options.dataset(),
                           .request_rates = {options.request_rate().begin(), options.request_rate().end()},
                           .burstiness = options.burstiness(),
                           .seed = options.has_seed() ? options.seed() : 1,
                           .output_dir = options.output_dir(),
                           .output_file = options.output_file(),
                           .report = options.report()};
  demand_scenario(settings, result.scenario);
  if (options.has_num_prompts()) result.num_prompts = options.num_prompts();
  if (options.has_max_concurrency()) result.max_concurrency = options.max_concurrency();
  if (options.has_slo()) result.slo = parse_duration(options.slo());
  if (options.has_warmup_requests()) result.warmup_requests = options.warmup_requests();
  return result;
}

ComparedFiles compared_files(const Settings& settings) {
  const proto::Options& options = settings.message();
  if (!options.has_baseline() || !options.has_candidate())
    throw Invalid("give two files of results: flux-dist bench compare BASELINE CANDIDATE");
  return {options.baseline(), options.candidate()};
}

}  // namespace flux
