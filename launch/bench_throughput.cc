// Draws many pictures as generate does and says how long they took.

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include "launch/say.h"
#include "launch/verbs.h"
#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/identity.h"
#include "parallel/rank/errors.h"
#include "runtime/agreement.h"
#include "runtime/bench/dataset.h"
#include "runtime/bench/report.h"
#include "runtime/bench/throughput.h"
#include "runtime/bench/throughput_json.h"
#include "runtime/bench/throughput_result.h"
#include "runtime/infotext.h"
#include "runtime/json_line.h"
#include "runtime/options/convert.h"
#include "runtime/roll_call.h"
#include "runtime/sink/descriptor.h"
#include "runtime/sink/new_file.h"
#include "runtime/source/model_defaults.h"
#include "runtime/warn.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

/// What is measured; the same on every rank.
struct Job {
  ModelFolder folder;
  Checkpoint checkpoint;
  PlacementOptions placement;
  OperationOptions operation;
  ThroughputOptions options;
  bool random_weights = false;
};

/// What rank 0 has besides: what is asked for, and where pictures and results go.
struct Client {
  ThroughputLoad load;
  std::unique_ptr<OutputFolder> output;
  std::unique_ptr<Descriptor> results;
};

Job job_of(Settings& settings, int rank) {
  const ModelFolder folder(model_path(settings));
  const bool random = bench_options(settings).random_weights;
  Job job{folder,
          random ? random_weights(folder, 1) : published(folder),
          placement_options(settings),
          operation_options(settings),
          throughput_options(settings),
          random};
  if (rank == 0 && !random) require_complete(folder);
  return job;
}

/// Of this world at most, before it is placed: the default number of requests to warm up with.
int64_t replica_count(const PlacementOptions& options, int world_size) {
  if (options.replicas.size() == 1) return options.replicas.front();
  if (!options.replicas.empty()) return static_cast<int64_t>(options.replicas.size());
  const int each = options.ranks_per_replica.value_or(std::max<int>(1, static_cast<int>(options.shares.size())));
  return std::max(1, (world_size - options.encoders.value_or(1)) / each);
}

/// That the ranks are to be shared out for.
Workload workload_of(const ThroughputOptions& options, const ThroughputLoad& load) {
  Workload workload = load.load->workload();
  if (options.scenario == Scenario::single_stream) workload.pictures = 1;
  return workload;
}

Client client_of(Settings& settings, const Job& job, const World& world, Departure& departure) {
  settings.set_default("seed", std::to_string(job.options.seed), "default of bench");
  if (job.random_weights) settings.set_default("noise_dtype", "bf16", "of random weights");
  add_model_defaults(settings, job.folder);
  add_noise_defaults(settings, job.folder);
  Client client;
  const ThroughputOptions& options = job.options;
  client.load = throughput_load(settings, job.folder, options, replica_count(job.placement, world.size()), log_warning);
  if (const auto folder = options.report.parent_path(); !folder.empty() && !std::filesystem::is_directory(folder))
    throw Invalid(fmt::format("--report: there is no folder {}", folder.string()));
  if (!options.output_file.empty())
    client.results = std::make_unique<Descriptor>(options.output_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC);
  if (options.output_dir.empty()) return client;
  client.output = std::make_unique<OutputFolder>(OutputOptions{.folder = options.output_dir});
  departure.on_leaving(client.output->last_act());
  return client;
}

RunFacts facts_of(const Job& job, const Client* client, const Settings& settings, World& world) {
  Workload workload{{0, 0}, 0};
  if (client != nullptr) workload = workload_of(job.options, client->load);
  const Agreement agreement = agree(world, job.folder, job.placement, job.operation.threads, workload);
  RunFacts facts{model_name(job.folder.path), "", agreement.placement, run_seed(settings)};
  together(world, [&] {
    if (client != nullptr) facts.identity = job.random_weights ? "random weights" : model_identity(job.folder);
  });
  if (client != nullptr) say_how_ranks_are_shared(facts.placement);
  return facts;
}

/// Of every wave that is measured.
std::vector<WaveResult> waves_of(const ThroughputLoad& load, const ThroughputRun& run, const Placement& placement) {
  std::vector<WaveResult> waves;
  for (size_t wave = load.first_measured; wave < load.load->beginnings().size(); ++wave) {
    waves.push_back(wave_result(*load.load, run.log, wave, placement));
    waves.back().energy = run.energy.at(wave);
  }
  return waves;
}

void publish(const Job& job, const Client& client, const RunFacts& facts, const ThroughputRun& run) {
  const ThroughputOptions& options = job.options;
  const std::vector<WaveResult> waves = waves_of(client.load, run, facts.placement);
  const ThroughputSetting setting{options,
                                  facts,
                                  job.random_weights,
                                  client.load.warmup_requests,
                                  run.peak_memory,
                                  run.coordinating / static_cast<double>(client.load.load->asked().size())};
  std::vector<Json> results;
  for (size_t wave = 0; wave < waves.size(); ++wave) {
    const std::optional<double> rate = client.load.load->rate(client.load.first_measured + wave);
    results.push_back(throughput_json(waves[wave], rate, setting));
    std::cout << (job.operation.json ? json_line(results.back()) + "\n" : throughput_text(results.back()))
              << std::flush;
  }
  if (client.results)
    for (const Json& result : results) client.results->write_all(json_line(result) + "\n");
  if (!options.report.empty()) write_new_file(options.report, throughput_report(waves, results));
}

}  // namespace

int bench_throughput(Settings settings, World& world, Departure& departure) {
  std::optional<Job> job;
  std::optional<Client> client;
  together(world, [&] {
    start_logging(operation_options(settings), world.rank());
    job.emplace(job_of(settings, world.rank()));
    if (world.rank() == 0) client.emplace(client_of(settings, *job, world, departure));
  });
  const RunFacts facts = facts_of(*job, client ? &*client : nullptr, settings, world);
  std::optional<ThroughputDesk> desk;
  if (client) desk.emplace(*client->load.load, client->output.get());
  const ThroughputRun run =
      run_throughput(job->checkpoint, facts, job->operation, desk ? &*desk : nullptr, world, departure);
  if (!orderly(run.exit_code)) return run.exit_code;
  together(world, [&] {
    if (client) publish(*job, *client, facts, run);
  });
  return run.exit_code;
}

}  // namespace flux
