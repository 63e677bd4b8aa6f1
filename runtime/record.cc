#include "runtime/record.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <sstream>

#include "model/dtype_name.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json parameters(const Job& job) {
  const Prompt& prompt = job.prompt;
  Json json;
  json["prompt"] = prompt.prompt;
  if (prompt.prompt_2) json["prompt_2"] = *prompt.prompt_2;
  if (prompt.negative_prompt) json["negative_prompt"] = *prompt.negative_prompt;
  if (prompt.negative_prompt_2) json["negative_prompt_2"] = *prompt.negative_prompt_2;
  json["true_cfg_scale"] = prompt.true_cfg_scale;
  json["height"] = prompt.picture.height;
  json["width"] = prompt.picture.width;
  json["num_inference_steps"] = prompt.num_inference_steps;
  json["guidance_scale"] = prompt.guidance_scale;
  json["max_sequence_length"] = prompt.max_sequence_length;
  json["seed"] = prompt.picture.seed;
  json["noise_dtype"] = dtype_name(prompt.picture.noise_dtype);
  return json;
}

std::string transport_name(Transport transport) {
  switch (transport) {
    case Transport::thread:
      return "thread";
    case Transport::mpi:
      return "mpi";
    case Transport::nccl:
      return "nccl";
  }
  return "";
}

Json placed(int replica, const Placement& placement) {
  const Replica& ranks = placement.replicas.at(replica);
  Json json;
  json["device"] = placement.ranks.at(ranks.ranks.front()).device.is_cpu() ? "cpu" : "cuda";
  json["dtype"] = dtype_name(placement.dtype);
  json["transport"] = transport_name(ranks.transport);
  json["replica"] = replica;
  json["ranks"] = ranks.ranks;
  json["text_ranks"] = ranks.text_ranks;
  return json;
}

std::string now() {
  const auto time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  gmtime_r(&time, &utc);
  std::ostringstream text;
  text << std::put_time(&utc, "%Y-%m-%dT%H:%M:%SZ");
  return text.str();
}

double milliseconds(double seconds) { return static_cast<double>(std::lround(seconds * 1000)) / 1000; }

Json as_json(const Record& record, const RunFacts& facts) {
  Json json;
  json["index"] = record.job.index;
  json["status"] = record.drawn() ? "drawn" : "failed";
  if (record.drawn()) json["file"] = record.file;
  if (!record.drawn()) json["error"] = record.error;
  json["origin"] = record.job.origin;
  if (record.job.error.empty()) json.update(parameters(record.job));  // bad input has none
  json["model"] = facts.model;
  if (record.replica >= 0) json["placement"] = placed(record.replica, facts.placement);
  if (record.drawn())
    json["seconds"] = {{"encode", milliseconds(record.seconds.encode)},
                       {"denoise", milliseconds(record.seconds.denoise)},
                       {"decode", milliseconds(record.seconds.decode)}};
  if (!record.warnings.empty()) json["warnings"] = record.warnings;
  json["time"] = now();
  return json;
}

}  // namespace

std::string journal_line(const Record& record, const RunFacts& facts) { return dump(as_json(record, facts)); }

std::string result_line(const Record& record, const RunFacts& facts, const std::filesystem::path& folder) {
  Json json = as_json(record, facts);
  if (record.drawn()) json["path"] = (folder / record.file).string();
  return dump(json);
}
std::string parameters_json(const Job& job, const RunFacts& facts) {
  Json json = parameters(job);
  json["model"] = facts.model;
  return dump(json);
}

std::string parameters_text(const Job& job, const RunFacts& facts) {
  const Prompt& prompt = job.prompt;
  std::ostringstream text;
  text << prompt.prompt << "\n";
  if (prompt.negative_prompt) text << "Negative prompt: " << *prompt.negative_prompt << "\n";
  text << "Steps: " << prompt.num_inference_steps
       << ", Sampler: Euler, Schedule type: Simple, CFG scale: " << (prompt.true_cfg() ? prompt.true_cfg_scale : 1.0)
       << ", Distilled CFG Scale: " << prompt.guidance_scale << ", Seed: " << prompt.picture.seed
       << ", Size: " << prompt.picture.width << "x" << prompt.picture.height
       << ", Model: " << std::filesystem::path(facts.model).filename().string() << ", Version: flux-dist";
  return text.str();
}

}  // namespace flux
