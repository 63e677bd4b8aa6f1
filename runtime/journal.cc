#include "runtime/journal.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <variant>

#include "model/dtype_name.h"
#include "parallel/rank/device.h"
#include "parallel/rank/errors.h"
#include "runtime/journal_reader.h"
#include "runtime/json_line.h"
#include "runtime/version.h"

namespace flux {
namespace {

using Json = nlohmann::ordered_json;

Json rank_json(const RankPlace& place) {
  Json json = {{"rank", place.rank}, {"host", place.host}, {"device", place.device.is_cpu() ? "cpu" : "cuda"}};
  if (place.device.is_cpu()) json["threads"] = place.threads;
  if (!place.card.empty()) json["card"] = place.card_name;
  if (!place.card.empty()) json["uuid"] = place.card;
  if (place.encodes) json["encodes"] = true;
  if (place.decodes) json["decodes"] = true;
  if (place.replica >= 0) json["replica"] = place.replica;
  return json;
}

Json program_json() {
  const Versions& known = versions();
  Json json = {{"version", known.program},
               {"revision", known.revision},
               {"libtorch", known.libraries.torch},
               {"mpi", known.libraries.mpi}};
  if (!known.libraries.cuda.empty())
    json.update({{"cuda", known.libraries.cuda},
                 {"cublas", known.libraries.cublas},
                 {"cudnn", known.libraries.cudnn},
                 {"nccl", known.libraries.nccl},
                 {"driver", known.driver}});
  return json;
}

}  // namespace

std::string run_line(const RunFacts& facts, int64_t fence, const std::string& taken_from) {
  Json ranks = Json::array();
  for (const auto& place : facts.placement.ranks) ranks.push_back(rank_json(place));
  Json replicas = Json::array();
  for (const auto& replica : facts.placement.replicas)
    replicas.push_back({{"ranks", replica.ranks}, {"text_ranks", replica.text_ranks}});
  Json json = {
      {"event", "run"},     {"journal", 1}, {"fence", fence}, {"host", host_name()}, {"boot", boot_of_this_host()},
      {"process", getpid()}};
  if (!taken_from.empty()) json["taken_from"] = taken_from;
  json.update({{"program", program_json()},
               {"model", {{"name", facts.model}, {"identity", facts.identity}}},
               {"dtype", dtype_name(facts.placement.dtype)},
               {"quantize", as_text(facts.placement.formats)},
               {"encoders_streamed", facts.placement.encoder_residency == Residency::streamed},
               {"seed", facts.seed},
               {"ranks", ranks},
               {"replicas", replicas},
               {"time", utc_now()}});
  return json_line(json);
}

Journal::Journal(OutputFolder& folder, RunFacts facts) : folder_(folder), facts_(std::move(facts)) {}

void Journal::begin() {
  folder_.require_ownership();
  folder_.clear_previous_run();
  const auto path = folder_.path() / kJournalName;
  const PastRun* past = folder_.past();
  file_ = past ? std::make_unique<AppendedFile>(path, past->journal_bytes()) : std::make_unique<AppendedFile>(path);
  append(run_line(facts_, folder_.lock().number(), folder_.lock().taken_from()), true);
}

void Journal::on(Time, const Command& command) {
  if (std::holds_alternative<command::Begin>(command)) begin();
}

void Journal::on(Time, const Request& request) {
  Json files = Json::array();
  for (int64_t k = 0; k < request.pictures; ++k)
    if (!request.files.contains(k))
      files.push_back(folder_.file_name(request.first_picture + k,
                                        request.prompt.picture.seed + static_cast<uint64_t>(k), request.prompt.id));
  append(json_line(Json{{"event", "began"},
                        {"request", request.id},
                        {"origin", request.origin},
                        {"files", files},
                        {"time", utc_now()}}),
         false);
}

void Journal::on(Time, const Record& record) {
  try {
    Json json = {{"event", "done"}};
    json.update(Json::parse(record_json(record, facts_)));
    append(json_line(json), true);
  } catch (const std::exception&) {  // a picture that the journal does not know is no picture of this run
    std::error_code ignored;
    if (record.drawn()) std::filesystem::remove(folder_.path() / record.file, ignored);
    throw;
  }
}

void Journal::end(const Ending& ending, const std::set<std::string>& suspects) {
  if (!file_) return;
  Json json = {{"event", "end"}, {"exit_code", ending.exit_code}};
  if (!ending.why.empty()) json["why"] = ending.why;
  if (!suspects.empty()) json["suspects"] = suspects;
  json["time"] = utc_now();
  append(json_line(json), true);
}

/// Written without waiting for the disk where only the death of a process, not of the host, is to be survived.
void Journal::append(const std::string& line, bool to_the_disk) {
  folder_.require_ownership();
  file_->append(line);
  if (to_the_disk) file_->sync();
}

}  // namespace flux
