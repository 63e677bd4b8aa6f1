#include "runtime/coordinator.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <thread>
#include <utility>

#include "model/files/printable.h"
#include "parallel/rank/errors.h"
#include "parallel/rank/host_addresses.h"

namespace flux {
namespace {

constexpr auto kBetweenSigns = std::chrono::milliseconds(500);
constexpr auto kSilence = std::chrono::milliseconds(900);  // three heartbeats and some
constexpr auto kSleep = std::chrono::seconds(1);           // between looks at the clock: nobody computes here

Scheduler::Setup setup_of(const Placement& placement, const OperationOptions& operation) {
  Scheduler::Setup setup{placement.encoders(), placement.decoders(), {}, operation.timeout, operation.startup_timeout};
  for (const auto& replica : placement.replicas) setup.replicas.push_back(replica.ranks);
  return setup;
}

}  // namespace

Coordinator::Coordinator(Parts parts, const Placement& placement, const OperationOptions& operation)
    : parts_(parts), placement_(placement), scheduler_(setup_of(placement, operation)) {}

void Coordinator::handle(int from, Report&& report) {
  notice_sleep();
  if (from != parts_.world.rank()) heard_[from] = Clock::now();
  std::visit([&]<typename Kind>(Kind&& kind) { on(from, std::forward<Kind>(kind)); }, std::move(report));
}

void Coordinator::tick() {
  if (ending_) return;
  notice_sleep();
  if (const int signal = parts_.departure.signal()) return answer(signal);
  if (parts_.departure.told_to_drain()) drain();
  show_life();
  take_written();
  take_requests();
  tell_scheduler(event::Tick{});
  if (finishing_ && parts_.sink.finished() && parts_.log.settled()) {
    const std::string problem = parts_.sink.problem();
    if (!problem.empty()) spdlog::error("{}", problem);
    failures_ |= !problem.empty();
    end(finished());
  }
}

void Coordinator::drain() {
  if (std::exchange(draining_, true)) return;
  spdlog::info("draining: what is being drawn is finished, and nothing more begun");
  tell_scheduler(event::Drain{});
}

Ending Coordinator::finished() const {
  const int64_t left = parts_.source.pictures() - static_cast<int64_t>(finished_.size() + bad_.size());
  if (draining_ && left > 0)
    return {kDrained, fmt::format("drained (SIGUSR1): {} of {} pictures are left; go on with --resume", left,
                                  parts_.source.pictures())};
  return {failures_ ? 1 : 0, ""};
}

void Coordinator::settle(std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  const auto wait_for = [&](const auto& done) {
    while (!done() && Clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      take_written();
    }
  };
  wait_for([this] { return being_written_ == 0; });
  if (!begun_) return;  // what the folder holds is the run before
  take_what_is_there();
  if (!finishing_) parts_.sink.finish(finished_);
  wait_for([this] { return parts_.sink.finished(); });
}

void Coordinator::notice_sleep() {
  const auto look = Clock::now();
  if (const auto slept = look - looked_; slept > kSleep) {
    slept_ += slept;
    for (auto& [rank, when] : heard_) when += slept;
  }
  looked_ = look;
}

/// No further ahead than the scheduler wants: a source may be long.
void Coordinator::take_requests() {
  while (!closed_ && scheduler_.wants_requests()) {
    std::optional<Request> request = next_request();
    if (!request) return;
    if (!request->error.empty())
      refuse(*request);
    else
      submit(std::move(*request));
  }
}

bool Coordinator::due() const {
  const std::optional<Time> when = parts_.source.due();
  return when && *when <= now();
}

Time Coordinator::quiet() const {
  const std::optional<Time> when = source_ended_ || !scheduler_.wants_requests() ? std::nullopt : parts_.source.due();
  return when ? std::max(*when - now(), Time{1}) : Time::max();
}

std::optional<Request> Coordinator::from_source() {
  if (source_ended_ || !due()) return std::nullopt;
  std::optional<Request> request = parts_.source.next();
  source_ended_ = !request;
  return request;
}

/// Suspects come last, each when nothing else is under way. Nothing: not yet, or never.
std::optional<Request> Coordinator::next_request() {
  while (auto request = from_source()) {
    if (!request->suspect) return request;
    suspects_.push_back(std::move(*request));
  }
  if (!source_ended_) return std::nullopt;
  if (suspects_.empty()) {
    closed_ = true;
    tell_scheduler(event::Closed{});
  }
  if (closed_ || !open_.empty()) return std::nullopt;
  Request suspect = std::move(suspects_.front());
  suspects_.pop_front();
  return suspect;
}

/// Of requests that are not taken up any more: pictures that a run before has drawn are finished all the same.
void Coordinator::take_what_is_there() {
  const auto take = [this](const Request& request) {
    for (const auto& [k, file] : request.files) finished_.push_back(record_of(request, k));
  };
  for (const Request& suspect : std::exchange(suspects_, {})) take(suspect);
  while (const auto request = from_source()) take(*request);
}

/// None of its pictures can be drawn, but those that are there.
void Coordinator::refuse(const Request& request) {
  for (int64_t k = 0; k < request.pictures; ++k) {
    Record record = record_of(request, k);
    if (request.files.contains(k))
      finished_.push_back(std::move(record));
    else if (begun_)
      note(std::move(record));
    else
      bad_.push_back(std::move(record));
  }
}

/// What a run before has drawn of it counts as finished.
void Coordinator::submit(Request&& request) {
  auto open = std::make_unique<Open>();
  event::Submitted submitted{request.index, {}};
  for (int64_t k = 0; k < request.pictures; ++k) {
    Record record = record_of(request, k);
    const int64_t picture = record.picture;
    if (request.files.contains(k)) {
      finished_.push_back(std::move(record));
    } else {
      submitted.pictures.push_back(picture);
      works_[picture] = {open.get(), std::move(record), {}, {}};
    }
  }
  if (submitted.pictures.empty()) return;
  open->request = std::move(request);
  open->pictures = submitted.pictures;
  open->to_hand_out = open->to_finish = static_cast<int64_t>(submitted.pictures.size());
  open_[submitted.request] = std::move(open);
  tell_scheduler(submitted);
}

void Coordinator::take_written() {
  for (auto& written : parts_.sink.take_written()) {
    --being_written_;
    if (!written.error.empty()) return end({kFailed, written.error});
    works_.at(written.picture).record.file = std::move(written.file);
    record(written.picture);
    tell_scheduler(event::Written{written.picture});
  }
}

/// Others wait for orders, and must be able to tell a coordinator that has none from one that is gone.
void Coordinator::show_life() {
  if (Clock::now() - shown_life_ < kBetweenSigns) return;
  shown_life_ = Clock::now();
  for (const auto& place : placement_.ranks)
    if (place.rank != parts_.world.rank()) send(place.rank, Present{});
}

void Coordinator::tell_scheduler(const Event& event) {
  const Time time = now();
  parts_.log.note(time, event);
  for (const auto& command : scheduler_.on(event, time)) {
    if (ending_) return;
    parts_.log.note(time, command);
    std::visit([this](const auto& kind) { obey(kind); }, command);
  }
}

void Coordinator::send(int rank, const Order& order) { parts_.world.mailbox().send(rank, pack(order)); }

/// The picture is finished, one way or the other.
void Coordinator::record(int64_t picture) {
  auto work = works_.extract(picture);
  Open& open = *work.mapped().open;
  note(std::move(work.mapped().record));
  if (--open.to_finish == 0) open_.erase(open.request.index);
}

void Coordinator::note(Record&& record) {
  failures_ |= !record.drawn();
  parts_.log.note(now(), record);
  finished_.push_back(std::move(record));
}

void Coordinator::end(Ending ending) {
  if (!ending_) ending_ = std::move(ending);
}

void Coordinator::on(int from, Ready&&) { tell_scheduler(event::Ready{from}); }

void Coordinator::on(int from, Step&& step) {
  tell_scheduler(event::Alive{from, step.picture, step.step, step.steps, step.peak_memory});
}

void Coordinator::on(int, Encoded&& encoded) {
  Open& open = *open_.at(encoded.request);
  for (const auto& warning : encoded.warnings) spdlog::warn("{}: {}", open.request.origin, warning);
  open.conditioning = std::move(encoded.conditioning);
  for (int64_t picture : open.pictures) {
    Record& record = works_.at(picture).record;
    record.warnings = encoded.warnings;
    record.seconds.encode = encoded.seconds;
  }
  tell_scheduler(event::Encoded{encoded.request});
}

void Coordinator::on(int, Denoised&& denoised) {
  Work& work = works_.at(denoised.picture);
  work.record.seconds.denoise = denoised.seconds;
  work.latents = std::move(denoised.latents);
  tell_scheduler(event::Denoised{denoised.picture});
}

void Coordinator::on(int, Decoded&& decoded) {
  Work& work = works_.at(decoded.picture);
  work.record.seconds.decode = decoded.seconds;
  if (const std::string& warning = decoded.image.warning; !warning.empty()) {
    spdlog::warn("{}: {}", work.record.origin, warning);
    work.record.warnings.push_back(warning);
  }
  work.image = std::move(decoded.image);
  tell_scheduler(event::Decoded{decoded.picture});
}

void Coordinator::on(int, Written&&) { take_written(); }

void Coordinator::on(int, RequestFailed&& failed) {
  const std::vector<int64_t> pictures = open_.at(failed.request)->pictures;
  for (int64_t picture : pictures) {
    works_.at(picture).record.error = failed.why;
    record(picture);
  }
  tell_scheduler(event::RequestFailed{failed.request});
}

void Coordinator::on(int, PictureFailed&& failed) {
  works_.at(failed.picture).record.error = failed.why;
  record(failed.picture);
  tell_scheduler(event::PictureFailed{failed.picture});
}

void Coordinator::on(int, ToldToDrain&&) { drain(); }

void Coordinator::on(int from, RankFailed&& failed) {
  if (failed.invalid) return end({2, failed.why});
  tell_scheduler(event::RankFailed{from, "failed: " + failed.why});
}

void Coordinator::obey(const command::Begin&) {
  begun_ = true;
  for (auto& record : std::exchange(bad_, {})) note(std::move(record));
}

void Coordinator::obey(const command::Encode& encode) {
  const Request& request = open_.at(encode.request)->request;
  parts_.log.note(now(), request);
  send(encode.rank, Encode{encode.request, request.prompt});
}

/// The tensors go to the leader, which broadcasts them; the others get shapes.
void Coordinator::obey(const command::Denoise& denoise) {
  Work& work = works_.at(denoise.picture);
  work.record.replica = denoise.replica;
  const Denoise order{denoise.picture, work.record.prompt->picture, work.open->conditioning};
  if (--work.open->to_hand_out == 0) work.open->conditioning = {};
  const auto& ranks = placement_.replicas[denoise.replica].ranks;
  for (size_t i = 1; i < ranks.size(); ++i) parts_.world.mailbox().send(ranks[i], pack_shapes(order));
  send(ranks.front(), order);
}

void Coordinator::obey(const command::Decode& decode) {
  Work& work = works_.at(decode.picture);
  send(decode.rank, Decode{decode.picture, work.record.prompt->picture, std::exchange(work.latents, {})});
}

void Coordinator::obey(const command::Write& write) {
  Work& work = works_.at(write.picture);
  ++being_written_;
  parts_.sink.put(work.record, std::exchange(work.image, std::nullopt).value());
}

/// Everything is drawn that will be: the sink shows it, while the others are still told that somebody is there.
void Coordinator::obey(const command::Stop&) {
  take_what_is_there();
  if (!begun_) return end(finished());
  finishing_ = true;
  parts_.sink.finish(finished_);
}

/// The ranks of a host that is lost have fallen silent, all together; a single one may also have died, but then its
/// host answers.
std::string Coordinator::loss() const {
  std::map<std::string, std::vector<const RankPlace*>> hosts;
  for (const auto& place : placement_.ranks) hosts[place.host].push_back(&place);
  const auto silent = [&](const RankPlace* place) {
    const auto heard = heard_.find(place->rank);
    return heard != heard_.end() && Clock::now() - heard->second > kSilence;
  };
  for (const auto& [host, places] : hosts)
    if (std::ranges::all_of(places, silent) && (places.size() > 1 || !host_answers(places.front()->host_addresses)))
      return fmt::format("; nothing is heard of {}", printable_line(host));
  return {};
}

/// Who notices may be another rank, of another host, that waited for one of those.
void Coordinator::obey(const command::Abort& abort) {
  const std::string lost = loss();
  blames_a_request_ = lost.empty();
  end({kFailed, placement_.named(abort.rank) + " " + abort.why + lost});
}

/// The launcher sends SIGTERM a second after a rank has died; the heartbeat tells which, on whatever host.
std::optional<int> Coordinator::silent_rank() const {
  if (!begun_ || parts_.departure.was_stopped()) return std::nullopt;
  for (const auto& [rank, when] : heard_)
    if (Clock::now() - when > kSilence) return rank;
  return std::nullopt;
}

void Coordinator::answer(int signal) {
  if (const auto rank = silent_rank()) return tell_scheduler(event::RankFailed{*rank, "died"});
  end({128 + signal, parts_.departure.was_woken() ? "" : told_to_end(signal)});
}

}  // namespace flux
