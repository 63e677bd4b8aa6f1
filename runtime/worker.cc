#include "runtime/worker.h"

#include <ATen/Parallel.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "model/decoder.h"
#include "model/denoiser.h"
#include "parallel/rank/errors.h"
#include "runtime/heartbeat.h"
#include "runtime/step_reports.h"

namespace flux {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(); }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// Messages carry tensors of the host.
Conditioning on_device(Conditioning conditioning, at::Device device) {
  for (auto& branch : conditioning.branches) {
    branch.txt = branch.txt.to(device).contiguous();
    branch.modulation = branch.modulation.to(device).contiguous();
  }
  return conditioning;
}

void broadcast(const Conditioning& conditioning, Communicator& sequence) {
  for (const auto& branch : conditioning.branches) {
    sequence.broadcast(branch.txt, 0).wait();
    sequence.broadcast(branch.modulation, 0).wait();
  }
}

constexpr std::chrono::milliseconds kAfterCoordinator{400};

constexpr double kCoordinatorsSilence = 0.9;  // seconds: it shows life every half one

/// Every rank is told to end a second after one has died. Where that is the coordinator, rank 1 says so in its place.
[[noreturn]] void outlive_coordinator(const Placement& placement, int rank, Departure& departure) {
  if (rank == 1) spdlog::error("{} died", placement.named(Placement::encoder));
  if (rank != 1) std::this_thread::sleep_for(kAfterCoordinator);
  departure.now(3);
}

}  // namespace

Worker::Worker(Checkpoint checkpoint, Placement placement, World& world)
    : checkpoint_(std::move(checkpoint)), placement_(std::move(placement)), world_(world), loading_(0) {
  loading_ = (place().encodes ? 2 : 0) + (place().replica >= 0 ? 1 : 0);
  if (place().encodes) {
    start("the encoder", &Worker::encode);
    start("the decoder", &Worker::decode);
  }
  if (place().replica >= 0) start("the denoiser", &Worker::denoise);
}

Worker::~Worker() {
  to_encode_.close();
  to_decode_.close();
  to_denoise_.close();
  for (auto& thread : threads_) thread.join();
}

void Worker::put(Message message) {
  if (auto* encode = std::get_if<Encode>(&message)) return to_encode_.put(std::move(*encode));
  if (auto* decode = std::get_if<Decode>(&message)) return to_decode_.put(std::move(*decode));
  if (auto* denoise = std::get_if<Denoise>(&message)) return to_denoise_.put(std::move(*denoise));
  throw Aborted("a worker got a message that is none of its business");
}

/// What a stage cannot handle ends the job: the model cannot be loaded (Invalid), or the rank cannot go on.
void Worker::start(const char* stage, void (Worker::*body)()) {
  threads_.emplace_back([this, stage, body] {
    try {
      at::set_num_threads(place().threads);  // which libraries count by thread
      const c10::InferenceMode no_gradients;
      const c10::DeviceGuard current(place().device);
      (this->*body)();
    } catch (const Invalid& error) {
      report(Failed{-1, false, true, error.what()});
    } catch (const Aborted& error) {
      report(Failed{-1, false, false, error.what()});
    } catch (const c10::Error& error) {
      report(Failed{-1, false, false, std::string(stage) + ": " + error.what_without_backtrace()});
    } catch (const std::exception& error) {
      report(Failed{-1, false, false, std::string(stage) + ": " + error.what()});
    }
  });
}

void Worker::loaded() {
  if (--loading_ == 0) report(Ready{});
}

void Worker::encode() {
  const Encoder encoder(checkpoint_, placing());
  loaded();
  while (const auto task = to_encode_.take()) {
    const Stopwatch watch;
    Encoded encoded{task->job, 0, {}, {}};
    try {
      const auto warn = [&](const std::string& warning) { encoded.warnings.push_back(warning); };
      encoded.conditioning = on_device(encoder(task->prompt, warn), at::kCPU);
    } catch (const Invalid& error) {
      report(Failed{task->job, true, false, error.what()});
      continue;
    }
    encoded.seconds = watch.seconds();
    report(encoded);
  }
}

void Worker::decode() {
  const Decoder decoder(checkpoint_, placing());
  loaded();
  while (const auto task = to_decode_.take()) {
    const Stopwatch watch;
    if (!task->latents.isfinite().all().item<bool>()) {
      report(Failed{task->job, true, false,
                    "its latents are not finite: damaged weights, or a --dtype too narrow for them"});
      continue;
    }
    const Image image = decoder(task->latents.to(place().device), task->picture);
    report(Decoded{task->job, watch.seconds(), image});
  }
}

void Worker::denoise() {
  const Replica& replica = placement_.replicas[place().replica];
  const auto sequence = world_.group(replica.ranks, replica.transport, place().device);
  Denoiser denoiser(checkpoint_, placing(), *sequence, replica.text_ranks);
  Heartbeat heartbeat([this](const Step& step) { report(step); });
  loaded();
  while (auto task = to_denoise_.take()) {
    const Stopwatch watch;
    heartbeat.at({task->job, 0, static_cast<int64_t>(task->conditioning.sigmas.size()) - 1});
    const Conditioning conditioning = on_device(std::move(task->conditioning), place().device);
    broadcast(conditioning, *sequence);
    StepReports steps(place().device, task->job, [&](const Step& step) { heartbeat.at(step); });
    const at::Tensor latents = denoiser(conditioning, task->picture, std::ref(steps)).cpu();
    if (place().position == 0) report(Denoised{task->job, watch.seconds(), latents});
    heartbeat.at({});
  }
}

void Worker::report(const Message& message) noexcept {
  try {
    world_.mailbox().send(Placement::encoder, pack(message));
  } catch (const std::exception& error) {  // the job is being aborted; there is nobody left to tell
    spdlog::debug("not reported: {}", error.what());
  }
}

int work(const Checkpoint& checkpoint, const Placement& placement, World& world, const OperationOptions& operation,
         Departure& departure) {
  Worker worker(checkpoint, placement, world);
  // One after the other, so that one of them speaks.
  const double patience = std::chrono::duration<double>(operation.timeout).count() + 0.3 * (world.rank() - 1);
  Stopwatch since_heard;
  std::optional<Stopwatch> since_signal;
  while (true) {
    if (auto received = world.mailbox().receive(std::chrono::milliseconds(200))) {
      since_heard = {};
      Message message = unpack(std::move(received->parcel));
      if (const auto* stop = std::get_if<Stop>(&message)) {
        return stop->exit_code;
      }
      if (!std::holds_alternative<Step>(message)) worker.put(std::move(message));
    }
    // A signal to the whole job reaches the coordinator too, which says what is to be done.
    if (departure.signal() && !since_signal) since_signal.emplace();
    if (since_signal && since_heard.seconds() > kCoordinatorsSilence)
      outlive_coordinator(placement, world.rank(), departure);
    if (since_signal && since_signal->seconds() > 1) throw Aborted("it was told to end by a signal");
    if (since_heard.seconds() > patience)
      throw TimedOut(fmt::format("{}, which coordinates, gave no sign of life for {:.0f} s (--timeout)",
                                 placement.named(Placement::encoder), since_heard.seconds()));
  }
}

}  // namespace flux
