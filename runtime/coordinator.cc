#include "runtime/coordinator.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <utility>

#include "parallel/rank/errors.h"
#include "runtime/printable_line.h"

namespace flux {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(100);  // between looks at the clock and at signals
constexpr auto kBetweenSigns = std::chrono::milliseconds(500);
constexpr auto kSilence = std::chrono::milliseconds(900);  // three heartbeats and some

Scheduler::Setup setup_of(const Placement& placement, const OperationOptions& operation) {
  Scheduler::Setup setup{Placement::encoder, {}, operation.timeout, operation.startup_timeout};
  for (const auto& replica : placement.replicas) setup.replicas.push_back(replica.ranks);
  return setup;
}

}  // namespace

Coordinator::Coordinator(Parts parts, Placement placement, const OperationOptions& operation)
    : parts_(parts),
      placement_(std::move(placement)),
      scheduler_(setup_of(placement_, operation)),
      loading_(placement_.ranks.size()) {}

Outcome Coordinator::run(const std::vector<Job>& jobs) {
  take_jobs(jobs);
  while (!ending_) {
    if (const int signal = parts_.departure.signal()) return interrupted(signal);
    listen();
    show_life();
    tell_scheduler(event::Tick{});
    parts_.progress.tick();
  }
  return *ending_;
}

void Coordinator::take_jobs(const std::vector<Job>& jobs) {
  for (const auto& job : jobs) {
    if (!job.error.empty()) continue;
    works_[job.index].record.job = job;
    tell_scheduler(event::Submitted{job.index});
  }
  tell_scheduler(event::Closed{});
}

void Coordinator::listen() {
  try {
    auto received = parts_.world.mailbox().receive(kPatience);
    if (!received) return;
    const int from = received->from;
    if (from != parts_.world.rank()) heard_[from] = Clock::now();
    std::visit([&]<typename Kind>(Kind&& message) { handle(from, std::forward<Kind>(message)); },
               unpack(std::move(received->parcel)));
  } catch (const Aborted& error) {
    const int signal = parts_.departure.signal();
    ending_ = signal ? interrupted(signal) : Outcome{3, error.what(), 0};
  }
}

/// Others wait for orders, and must be able to tell a coordinator that has none from one that is gone.
void Coordinator::show_life() {
  if (Clock::now() - shown_life_ < kBetweenSigns) return;
  shown_life_ = Clock::now();
  for (const auto& place : placement_.ranks)
    if (place.rank != parts_.world.rank()) send(place.rank, Step{});
}

void Coordinator::tell_scheduler(const Event& event) {
  for (const auto& command : scheduler_.on(event, now())) std::visit([this](const auto& kind) { obey(kind); }, command);
}

void Coordinator::send(int rank, const Message& message) {
  if (rank == parts_.world.rank()) return parts_.worker.put(message);
  parts_.world.mailbox().send(rank, pack(message));
}

void Coordinator::job_failed(int64_t job, const std::string& why) {
  auto work = works_.extract(job);
  work.mapped().record.error = why;
  parts_.sink.put(std::move(work.mapped().record), std::nullopt);
}

void Coordinator::handle(int from, Ready&&) {
  if (--loading_ == 0) parts_.progress.loaded();
  tell_scheduler(event::Ready{from});
}

void Coordinator::handle(int from, Step&& step) {
  const RankPlace& place = placement_.ranks[from];
  if (place.position == 0) parts_.progress.step(place.replica, step.step, step.steps);
  tell_scheduler(event::Alive{from, step.job, step.step, step.steps});
}

void Coordinator::handle(int, Encoded&& encoded) {
  Work& work = works_.at(encoded.job);
  for (const auto& warning : encoded.warnings)
    spdlog::warn("{}: {}", printable_line(work.record.job.origin), printable_line(warning, 400));
  work.record.warnings = std::move(encoded.warnings);
  work.record.seconds.encode = encoded.seconds;
  work.conditioning = std::move(encoded.conditioning);
  tell_scheduler(event::Encoded{encoded.job});
}

void Coordinator::handle(int, Denoised&& denoised) {
  Work& work = works_.at(denoised.job);
  work.record.seconds.denoise = denoised.seconds;
  work.latents = std::move(denoised.latents);
  tell_scheduler(event::Denoised{denoised.job});
}

void Coordinator::handle(int, Decoded&& decoded) {
  Work& work = works_.at(decoded.job);
  work.record.seconds.decode = decoded.seconds;
  work.image = std::move(decoded.image);
  tell_scheduler(event::Decoded{decoded.job});
}

void Coordinator::handle(int, Written&& written) { tell_scheduler(event::Written{written.job}); }

void Coordinator::handle(int from, Failed&& failed) {
  if (failed.job_alone) {
    job_failed(failed.job, failed.why);
    return tell_scheduler(event::JobFailed{failed.job});
  }
  if (failed.invalid) {
    ending_ = {2, failed.why, 0};
    return;
  }
  tell_scheduler(event::RankFailed{from, "failed: " + failed.why});
}

template <typename Other>
void Coordinator::handle(int from, Other&&) {
  throw Aborted(placement_.named(from) + " sent the coordinator what only the coordinator sends");
}

void Coordinator::obey(const command::Encode& encode) {
  send(Placement::encoder, Encode{encode.job, works_.at(encode.job).record.job.prompt});
}

/// The tensors go to the leader, which broadcasts them; the others get shapes.
void Coordinator::obey(const command::Denoise& denoise) {
  Work& work = works_.at(denoise.job);
  work.record.replica = denoise.replica;
  const Denoise message{denoise.job, work.record.job.prompt.picture, std::exchange(work.conditioning, {})};
  const auto& ranks = placement_.replicas[denoise.replica].ranks;
  for (size_t i = 1; i < ranks.size(); ++i) parts_.world.mailbox().send(ranks[i], pack_shapes(message));
  send(ranks.front(), message);
}

void Coordinator::obey(const command::Decode& decode) {
  Work& work = works_.at(decode.job);
  send(Placement::encoder, Decode{decode.job, work.record.job.prompt.picture, std::exchange(work.latents, {})});
}

void Coordinator::obey(const command::Write& write) {
  auto work = works_.extract(write.job);
  parts_.sink.put(std::move(work.mapped().record), std::move(work.mapped().image));
}

void Coordinator::obey(const command::Stop&) { ending_ = Outcome{}; }

void Coordinator::obey(const command::Abort& abort) {
  ending_ = {3, placement_.named(abort.rank) + " " + abort.why, 0};
}

/// The launcher sends SIGTERM a second after a rank has died; the heartbeat tells which, on whatever host.
std::optional<int> Coordinator::silent_rank() const {
  for (const auto& [rank, when] : heard_)
    if (loading_ == 0 && Clock::now() - when > kSilence) return rank;
  return std::nullopt;
}

Outcome Coordinator::interrupted(int signal) const {
  if (const auto rank = silent_rank()) return {3, placement_.named(*rank) + " died", signal};
  return {128 + signal, signal == SIGINT ? "interrupted (SIGINT)" : "told to end (SIGTERM)", signal};
}

}  // namespace flux
