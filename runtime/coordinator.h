#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "parallel/rank/departure.h"
#include "parallel/world.h"
#include "runtime/messages.h"
#include "runtime/placement.h"
#include "runtime/progress.h"
#include "runtime/record.h"
#include "runtime/scheduler.h"
#include "runtime/sink/sink.h"
#include "runtime/worker.h"

namespace flux {

/// How a run ended.
struct Outcome {
  int exit_code = 0;
  std::string why;  // it could not go on
  int signal = 0;   // it was told to end
};

/// Passes events from the mailbox to the scheduler and its commands to workers and sink. Never computes.
class Coordinator {
 public:
  /// What the loop drives; all outlive it.
  struct Parts {
    World& world;
    Worker& worker;  // of this rank
    Sink& sink;
    Progress& progress;
    const Departure& departure;
  };

  Coordinator(Parts parts, Placement placement, const OperationOptions& operation);

  /// Draws the jobs that can be drawn.
  Outcome run(const std::vector<Job>& jobs);

 private:
  using Clock = std::chrono::steady_clock;

  /// A job under way, and its tensors between two stages.
  struct Work {
    Record record;
    Conditioning conditioning;
    at::Tensor latents;
    std::optional<Image> image;
  };

  Time now() const { return std::chrono::duration_cast<Time>(Clock::now() - began_); }
  void take_jobs(const std::vector<Job>& jobs);
  void listen();
  void show_life();
  void tell_scheduler(const Event& event);
  void send(int rank, const Message& message);
  void job_failed(int64_t job, const std::string& why);
  std::optional<int> silent_rank() const;
  Outcome interrupted(int signal) const;

  // What workers say.
  void handle(int from, Ready&& ready);
  void handle(int from, Step&& step);
  void handle(int from, Encoded&& encoded);
  void handle(int from, Denoised&& denoised);
  void handle(int from, Decoded&& decoded);
  void handle(int from, Written&& written);
  void handle(int from, Failed&& failed);
  template <typename Other>
  void handle(int from, Other&& other);

  // What the scheduler wants.
  void obey(const command::Encode& encode);
  void obey(const command::Denoise& denoise);
  void obey(const command::Decode& decode);
  void obey(const command::Write& write);
  void obey(const command::Stop& stop);
  void obey(const command::Abort& abort);

  Parts parts_;
  const Placement placement_;
  const Clock::time_point began_ = Clock::now();
  Scheduler scheduler_;
  size_t loading_;
  std::map<int, Clock::time_point> heard_;  // of other ranks
  std::map<int64_t, Work> works_;
  Clock::time_point shown_life_{};
  std::optional<Outcome> ending_;
};

}  // namespace flux
