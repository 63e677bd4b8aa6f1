#include "runtime/past_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <system_error>
#include <utility>

#include "model/files/json_file.h"
#include "model/files/printable.h"
#include "model/files/readable_file.h"
#include "parallel/rank/device.h"
#include "parallel/rank/errors.h"
#include "runtime/options/prompt.h"

namespace flux {
namespace {

namespace fs = std::filesystem;
using Parsed = nlohmann::json;

constexpr uint64_t kForm = 1;          // of journals that this program writes and reads
constexpr size_t kShownOfAValue = 60;  // characters

const Parsed& field(const Parsed& json, const char* name, bool (Parsed::*fits)() const noexcept, const char* what) {
  const auto found = json.find(name);
  if (found == json.end() || !((*found).*fits)()) throw Invalid(fmt::format("its \"{}\" is no {}", name, what));
  return *found;
}

std::string text_of(const Parsed& json, const char* name) {
  return field(json, name, &Parsed::is_string, "text").get<std::string>();
}

std::string picture_name(const Parsed& value) {
  if (!value.is_string() || !is_picture_name(value.get_ref<const std::string&>()))
    throw Invalid("it names a file that is no picture of a run");
  return value.get<std::string>();
}

/// Empty where there is no text.
std::string text_at(const Parsed& json, const std::string& path) {
  const Parsed::json_pointer pointer(path);
  return json.contains(pointer) && json[pointer].is_string() ? json[pointer].get<std::string>() : "";
}

/// Of a rank: the model of its card, or on CPUs its threads, over which sums are cut.
std::string computes_on(const Parsed& rank) {
  if (const std::string card = text_at(rank, "/card"); !card.empty()) return card;
  std::string device = text_at(rank, "/device");
  const auto threads = rank.find("threads");
  if (threads == rank.end() || !threads->is_number_unsigned()) return device;
  return fmt::format("{} with --threads {}", device, threads->get<uint64_t>());
}

/// Of a `run` line: what fixes the bits of its pictures, by name. Ranks and replicas do not, nor does what carries
/// tensors between them.
std::map<std::string, std::string> fixes_the_bits(const Parsed& run) {
  std::map<std::string, std::string> all = {
      {"flux-dist", text_at(run, "/program/version") + " " + text_at(run, "/program/revision")},
      {"model", text_at(run, "/model/name") + " " + text_at(run, "/model/identity")},
      {"dtype", text_at(run, "/dtype")},
      {"quantize", run.contains("quantize") ? text_at(run, "/quantize") : "none"},
  };
  for (const char* library : {"libtorch", "cuda", "cublas", "cudnn"})
    all[library] = text_at(run, fmt::format("/program/{}", library));
  std::set<std::string> devices;
  if (const auto ranks = run.find("ranks"); ranks != run.end() && ranks->is_array())
    for (const Parsed& rank : *ranks) devices.insert(computes_on(rank));
  all["devices"] = fmt::format("{}", fmt::join(devices, ", "));
  return all;
}

std::string shown(const Parsed& json, const std::string& key) {
  const auto value = json.find(key);
  if (value == json.end()) return "none";
  return printable_line(value->dump(-1, ' ', false, Parsed::error_handler_t::replace), kShownOfAValue);
}

}  // namespace

PastRun::PastRun(fs::path folder) : folder_(std::move(folder)) {
  for_each_line(folder_ / kJournalName, [this](const JournalLine& line) {
    if (line.whole) take(line);
  });
  vanished();
}

void PastRun::take(const JournalLine& line) {
  try {
    const Parsed json = parse_json_object(line.text, kJournalName);
    const std::string event = text_of(json, "event");
    if (line.number == 1 && event != "run") throw Invalid("it is not the `run` that a journal begins with");
    if (event == "run") take_run(json);
    if (event == "began") take_began(json);
    if (event == "done") take_done(json, line);
    if (event == "end") take_end(json);
  } catch (const Invalid& error) {
    throw Invalid(fmt::format("{}: line {} (byte {}) is damaged: {}; mend it, or draw everything anew with --overwrite",
                              (folder_ / kJournalName).string(), line.number, line.offset, error.what()));
  }
  journal_bytes_ = line.offset + static_cast<int64_t>(line.text.size()) + 1;
}

void PastRun::take_run(const Parsed& json) {
  const uint64_t form = count_of(json, "journal");
  if (form != kForm) throw Invalid(fmt::format("a journal of form {}, and this program knows {}", form, kForm));
  vanished();
  begun_ = last_ = json;
  if (json.contains("seed")) seed_ = field(json, "seed", &Parsed::is_number_unsigned, "seed").get<uint64_t>();
}

void PastRun::take_began(const Parsed& json) {
  const Parsed& files = field(json, "files", &Parsed::is_array, "list");
  for (const Parsed& file : files) unfinished_.insert(picture_name(file));
  under_way_[text_of(json, "request")] += static_cast<int>(files.size());
}

void PastRun::take_done(const Parsed& json, const JournalLine& line) {
  if (const auto request = json.find("request"); request != json.end() && request->is_string())
    if (const auto found = under_way_.find(request->get<std::string>());
        found != under_way_.end() && --found->second <= 0)
      under_way_.erase(found);
  if (text_of(json, "status") != "drawn") return;
  const std::string file = picture_name(field(json, "file", &Parsed::is_string, "text"));
  const auto index = static_cast<int64_t>(count_of(json, "index"));
  drawn_[index] = {text_of(json, "request"), file, line.offset, static_cast<int64_t>(line.text.size())};
  unfinished_.erase(file);
  failures_.erase(drawn_[index].request);
  if (!begun_.is_null()) run_ = std::exchange(begun_, nullptr);
}

void PastRun::take_end(const Parsed& json) {
  under_way_.clear();
  if (!json.contains("suspects")) return;
  for (const Parsed& request : field(json, "suspects", &Parsed::is_array, "list"))
    if (request.is_string()) ++failures_[request.get<std::string>()];
}

/// The journal of that start has no end: rank 0 was killed, unless its host went down with it.
void PastRun::vanished() {
  const bool host_stayed =
      !last_.is_null() && text_at(last_, "/host") == host_name() && text_at(last_, "/boot") == boot_of_this_host();
  if (host_stayed)
    for (const auto& [request, pictures] : under_way_) ++failures_[request];
  under_way_.clear();
}

int PastRun::failures_of(const std::string& request) const {
  const auto found = failures_.find(request);
  return found == failures_.end() ? 0 : found->second;
}

std::string PastRun::file_of(const Request& request, int64_t k) const {
  const auto found = drawn_.find(request.first_picture + k);
  if (found == drawn_.end()) return "";
  const Drawn& drawn = found->second;
  if (drawn.request != request.id)
    throw Invalid(
        fmt::format("{}: picture {} of the run in {} was drawn {}; prompts may be appended, not changed: name "
                    "another folder, or draw everything anew with --overwrite",
                    request.origin, found->first, folder_.string(), difference(drawn, request, k)));
  std::error_code gone;
  const bool there = !unfinished_.contains(drawn.file) &&  // begun anew since
                     fs::is_regular_file(folder_ / drawn.file, gone) && fs::file_size(folder_ / drawn.file, gone) > 0;
  return there ? drawn.file : "";
}

std::string PastRun::difference(const Drawn& drawn, const Request& request, int64_t k) const {
  if (!request.error.empty()) return fmt::format("of a request that is now wrong ({})", request.error);
  std::string line(static_cast<size_t>(drawn.bytes), '\0');
  ReadableFile(folder_ / kJournalName).read(drawn.line, line.data(), drawn.bytes);
  const Parsed was = parse_json_object(line, kJournalName);
  Prompt prompt = request.prompt;
  prompt.picture.seed += static_cast<uint64_t>(k);
  const auto is = nlohmann::ordered_json::parse(parameters_json(prompt));
  for (const auto& [key, value] : is.items())
    if (!was.contains(key) || was[key] != Parsed(value))
      return fmt::format("with {} {}, and this run asks for {}", key, shown(was, key), shown(Parsed(is), key));
  return "for a prompt that had more said of it";
}

std::optional<ImageFormat> PastRun::format() const {
  if (drawn_.empty()) return std::nullopt;
  return drawn_.begin()->second.file.ends_with(".png") ? ImageFormat::png : ImageFormat::jpg;
}

std::vector<std::string> PastRun::changes(const Parsed& run) const {
  std::vector<std::string> all;
  if (run_.is_null()) return all;
  const auto was = fixes_the_bits(run_);
  for (const auto& [name, value] : fixes_the_bits(run))
    if (was.at(name) != value)
      all.push_back(fmt::format("{} was {} and is {}", name, printable_line(was.at(name)), printable_line(value)));
  return all;
}

}  // namespace flux
