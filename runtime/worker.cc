#include "runtime/worker.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "model/decoder.h"
#include "model/denoiser.h"
#include "model/encoder.h"
#include "parallel/rank/errors.h"
#include "parallel/rank/thread_name.h"
#include "runtime/exchange.h"
#include "runtime/own_cores.h"
#include "runtime/peak_memory.h"
#include "runtime/step_reports.h"

namespace flux {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(); }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// Each tensor of it anew.
template <typename Make>
Conditioning with_tensors(Conditioning conditioning, const Make& make) {
  for (auto& branch : conditioning.branches) {
    branch.txt = make(branch.txt);
    branch.modulation = make(branch.modulation);
  }
  return conditioning;
}

/// Messages to other ranks carry tensors of the host. To oneself they pass as they are, and never leave the card.
Conditioning on_host(Conditioning conditioning) {
  return with_tensors(std::move(conditioning), [](const at::Tensor& values) { return values.cpu().contiguous(); });
}

/// The leader's values; on the others room for what it sends them, for their order has shapes alone.
Conditioning for_replica(Conditioning conditioning, const RankPlace& place) {
  return with_tensors(std::move(conditioning), [&](const at::Tensor& values) {
    if (place.position == 0) return values.to(place.device);
    return at::empty(values.sizes(), values.options().device(place.device));
  });
}

void broadcast(const Conditioning& conditioning, Communicator& sequence) {
  for (const auto& branch : conditioning.branches) {
    sequence.broadcast(branch.txt, 0).wait();
    sequence.broadcast(branch.modulation, 0).wait();
  }
}

/// A card's first encoding takes a second or two, in which libraries load: best while other ranks still read weights.
void warm_up(const Encoder& encoder) {
  try {
    encoder(Prompt{}, [](const std::string&) {});
  } catch (const Invalid& error) {  // a request will come to the same
    spdlog::debug("warming up: {}", error.what());
  }
}

/// What a stage cannot handle ends the job: a file of the model is wrong, or the rank cannot go on.
RankFailed failure(const char* stage) {
  const auto of_stage = [&](const char* why) { return RankFailed{false, fmt::format("{}: {}", stage, why)}; };
  try {
    throw;
  } catch (const Invalid& error) {
    return {true, error.what()};
  } catch (const Aborted& error) {
    return {false, error.what()};
  } catch (const c10::Error& error) {
    return of_stage(error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return of_stage("out of memory");
  } catch (const std::exception& error) {
    return of_stage(error.what());
  }
}

}  // namespace

Worker::Worker(Checkpoint checkpoint, const Placement& placement, World& world)
    : checkpoint_(std::move(checkpoint)), placement_(placement), world_(world), heartbeat_([this](Step step) {
        if (loading_ == 0) step.peak_memory = peak_memory(place().device);
        report(step);
      }) {
  const RankPlace& mine = place();
  loading_ = (mine.encodes ? 1 : 0) + (mine.decodes ? 1 : 0) + (mine.replica >= 0 ? 1 : 0);
  try {
    DeviceMemory::keep_stacks_small(mine.device);
    if (mine.memory > 0) DeviceMemory::limit(mine.device, mine.memory);
    if (mine.encodes) start("the encoder", &Worker::encode, StageStream::Turn::brief);
    if (mine.decodes) start("the decoder", &Worker::decode, StageStream::Turn::brief);
    if (mine.replica >= 0) start("the denoiser", &Worker::denoise, StageStream::Turn::ordinary);
  } catch (const std::exception& error) {
    world_.end({kFailed, placement_.named(world_.rank()) + ": " + error.what()});
    finish();
    throw;
  }
}

Worker::~Worker() { finish(); }

void Worker::finish() {
  to_encode_.discard();
  to_decode_.discard();
  to_denoise_.discard();
  for (auto& thread : threads_) thread.join();
  if (memory_ && place().device.is_cuda())
    spdlog::debug("{} MiB on its card when loaded, at most {} while it worked, of which the allocator took {} there",
                  memory_->at_first() >> 20, memory_->peak() >> 20, DeviceMemory::reserved(place().device) >> 20);
}

void Worker::put(Order order) {
  if (auto* encode = std::get_if<Encode>(&order)) return to_encode_.put(std::move(*encode));
  if (auto* decode = std::get_if<Decode>(&order)) return to_decode_.put(std::move(*decode));
  if (auto* denoise = std::get_if<Denoise>(&order)) return to_denoise_.put(std::move(*denoise));
  throw Aborted("a worker got a message that is none of its business");
}

void Worker::start(const char* stage, void (Worker::*body)(), StageStream::Turn turn) {
  threads_.push_back(start_thread(stage, [this, stage, body, turn] {
    try {
      use_own_cores(place());
      const c10::InferenceMode no_gradients;
      const c10::DeviceGuard current(place().device);
      const StageStream own_stream(place().device, turn);
      (this->*body)();
    } catch (const std::exception&) {
      report(failure(stage));
    }
  }));
}

void Worker::loaded() {
  if (--loading_ != 0) return;
  memory_.emplace(place().device);
  memory_->give_back();
  report(Ready{});
}

void Worker::encode() {
  Placing of_encoder = placing();
  of_encoder.residency = placement_.encoder_residency;
  const Encoder encoder(checkpoint_, of_encoder, placement_.formats);
  if (place().device.is_cuda()) warm_up(encoder);
  loaded();
  while (const auto task = to_encode_.take()) {
    const Stopwatch watch;
    Encoded encoded{task->request, 0, {}, {}};
    try {
      const auto warn = [&](const std::string& warning) { encoded.warnings.push_back(warning); };
      Conditioning conditioning = encoder(task->prompt, warn);
      encoded.conditioning = world_.size() == 1 ? std::move(conditioning) : on_host(std::move(conditioning));
    } catch (const Invalid& error) {
      report(RequestFailed{task->request, error.what()});
      continue;
    }
    encoded.seconds = watch.seconds();
    report(std::move(encoded));
  }
}

void Worker::decode() {
  const Decoder decoder(checkpoint_, placing());
  loaded();
  while (const auto task = to_decode_.take()) {
    const Stopwatch watch;
    try {
      const Image image = decoder(task->latents.to(place().device), task->drawn);
      report(Decoded{task->picture, watch.seconds(), image});
    } catch (const Invalid& error) {
      report(PictureFailed{task->picture, error.what()});
    }
  }
}

void Worker::denoise() {
  const Replica& replica = placement_.replicas[place().replica];
  const auto sequence = world_.group(replica.ranks, replica.transport, place().device);
  Denoiser denoiser(checkpoint_, placing(placement_.formats.transformer), *sequence, placement_.demand,
                    exchange_of(placement_, replica, checkpoint_.folder.transformer));
  loaded();
  while (auto task = to_denoise_.take()) {
    const Stopwatch watch;
    heartbeat_.at({task->picture, 0, static_cast<int64_t>(task->conditioning.sigmas.size()) - 1});
    // Kept until the card is done with the picture: of a rank alone it is memory of the encoder's stream.
    const Conditioning conditioning = for_replica(std::move(task->conditioning), place());
    broadcast(conditioning, *sequence);
    StepReports steps(place().device, task->picture, [&](const Step& step) { heartbeat_.at(step); });
    const at::Tensor latents = denoiser(conditioning, task->drawn, std::ref(steps));
    steps.wait();
    if (place().position == 0) {
      const at::Tensor host = latents.cpu();
      report(Denoised{task->picture, watch.seconds(), host});
    }
    heartbeat_.at({});
  }
}

void Worker::report(const Report& report) noexcept {
  try {
    world_.mailbox().send(Placement::coordinator, pack(report));
  } catch (const std::exception& error) {  // the job is being ended; there is nobody left to tell
    spdlog::debug("not reported: {}", error.what());
  }
}

}  // namespace flux
