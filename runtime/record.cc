#include "runtime/record.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <sstream>

#include "model/dtype_name.h"
#include "runtime/infotext.h"
#include "runtime/json_line.h"
#include "runtime/options/prompt.h"
#include "runtime/version.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

Json placed(int replica, const Placement& placement) {
  const Replica& ranks = placement.replicas.at(replica);
  const RankPlace& leader = placement.ranks.at(ranks.ranks.front());
  Json json;
  json["device"] = leader.device.is_cpu() ? "cpu" : "cuda";
  if (!leader.card_name.empty()) json["card"] = leader.card_name;
  json["dtype"] = dtype_name(placement.dtype);
  json["quantize"] = as_text(placement.formats);
  json["transport"] = transport_name(ranks.transport);
  json["replica"] = replica;
  json["ranks"] = ranks.ranks;
  json["text_ranks"] = ranks.text_ranks;
  return json;
}

double milliseconds(double seconds) { return static_cast<double>(std::lround(seconds * 1000)) / 1000; }

}  // namespace

Record record_of(const Request& request, int64_t k) {
  Record record;
  record.picture = request.first_picture + k;
  record.request = request.id;
  record.origin = request.origin;
  if (const auto file = request.files.find(k); file != request.files.end())
    record.file = file->second;
  else
    record.error = request.error;
  if (request.id.empty() && !request.error.empty()) return record;  // there is no prompt
  record.prompt = request.prompt;
  record.prompt->picture.seed += static_cast<uint64_t>(k);
  return record;
}

std::string record_json(const Record& record, const RunFacts& facts) {
  Json json;
  json["index"] = record.picture;
  json["status"] = record.drawn() ? "drawn" : "failed";
  if (record.drawn()) json["file"] = record.file;
  if (!record.drawn()) json["error"] = record.error;
  json["origin"] = record.origin;
  if (!record.request.empty()) json["request"] = record.request;
  if (record.prompt) json.update(Json::parse(parameters_json(*record.prompt)));
  json["model"] = facts.model;
  if (record.replica >= 0) json["placement"] = placed(record.replica, facts.placement);
  if (record.drawn())
    json["seconds"] = {{"encode", milliseconds(record.seconds.encode)},
                       {"denoise", milliseconds(record.seconds.denoise)},
                       {"decode", milliseconds(record.seconds.decode)}};
  if (!record.warnings.empty()) json["warnings"] = record.warnings;
  json["time"] = utc_now();
  return json_line(json);
}

std::string parameters_json(const Prompt& prompt, const RunFacts& facts) {
  Json json = Json::parse(parameters_json(prompt));
  json["model"] = facts.model;
  json["quantize"] = as_text(facts.placement.formats);
  json["version"] = program_version;
  json["revision"] = program_revision;
  return json_line(json);
}

std::string parameters_text(const Prompt& prompt, const RunFacts& facts) { return infotext(prompt, facts.model); }

}  // namespace flux
