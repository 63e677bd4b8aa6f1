#include "runtime/record.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <sstream>

#include "runtime/infotext.h"
#include "runtime/options/prompt.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json parameters(const Job& job) { return Json::parse(parameters_json(job.prompt)); }

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

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "fp32";
    case at::kBFloat16:
      return "bf16";
    case at::kHalf:
      return "fp16";
    default:
      return c10::toString(dtype);
  }
}

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
  return infotext(job.prompt, model_name(facts.model));
}

}  // namespace flux
