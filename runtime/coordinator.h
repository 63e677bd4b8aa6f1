#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/rank/departure.h"
#include "parallel/world.h"
#include "runtime/messages.h"
#include "runtime/options.h"
#include "runtime/placement.h"
#include "runtime/record.h"
#include "runtime/run_log.h"
#include "runtime/scheduler.h"
#include "runtime/sink/sink.h"
#include "runtime/source/source.h"

namespace flux {

/// Beside rank 0's own work: hands requests out. Passes what ranks report to the scheduler, and its commands to ranks
/// and sink. Never computes, never waits.
class Coordinator {
 public:
  /// What it drives; all outlive it.
  struct Parts {
    World& world;
    Source& source;
    Sink& sink;
    RunLog& log;
    const Departure& departure;
  };

  Coordinator(Parts parts, const Placement& placement, const OperationOptions& operation);

  /// What rank `from` says.
  void handle(int from, Report&& report);

  /// Called often: looks at the clock, at signals and at the sink.
  void tick();

  /// After a tick: how long there is nothing to look at, unless a rank says something. As a source has it whose
  /// requests come at their time.
  Time quiet() const;

  /// How the run ended, once it has. exit_code 0: every picture is there; 1: some failed; kDrained: some are left.
  const std::optional<Ending>& ending() const { return ending_; }

  /// Whether what the rank was working on that ended the run may be why.
  bool blames_a_request() const { return blames_a_request_; }

  /// Where a host was lost, which is no request's fault, that it was, to be added to why the run ends; else empty.
  std::string loss() const;

  /// After an early ending: takes from the sink what it still finishes, for at most `patience`, then everything is
  /// shown.
  void settle(std::chrono::milliseconds patience);

 private:
  using Clock = std::chrono::steady_clock;

  /// A request whose pictures are not all drawn yet.
  struct Open {
    Request request;
    std::vector<int64_t> pictures;  // to be drawn
    Conditioning conditioning;      // from its encoding until its last picture is handed out
    std::vector<std::string> warnings;
    double seconds = 0;  // of the encoding
    int64_t to_hand_out = 0;
    int64_t to_finish = 0;
  };

  /// A picture between two stages.
  struct Work {
    Open* open = nullptr;
    Record record;
    at::Tensor latents;
    std::optional<Image> image;
  };

  Time now() const { return std::chrono::duration_cast<Time>(Clock::now() - began_ - slept_); }
  void notice_sleep();
  void take_requests();
  bool due() const;
  std::optional<Request> from_source();
  std::optional<Request> next_request();
  void refuse(const Request& request);
  void take_what_is_there();
  void submit(Request&& request);
  void take_written();
  void show_life();
  void tell_scheduler(const Event& event);
  void send(int rank, const Order& order);
  void record(int64_t picture);
  void note(Record&& record);
  void drain();
  Ending finished() const;
  void end(Ending ending);
  std::optional<int> silent_rank() const;
  void answer(int signal);

  // What ranks say.
  void on(int from, Ready&& ready);
  void on(int from, Step&& step);
  void on(int from, Encoded&& encoded);
  void on(int from, Denoised&& denoised);
  void on(int from, Decoded&& decoded);
  void on(int from, Written&& written);
  void on(int from, RequestFailed&& failed);
  void on(int from, PictureFailed&& failed);
  void on(int from, ToldToDrain&& told);
  void on(int from, RankFailed&& failed);

  // What the scheduler wants.
  void obey(const command::Begin& begin);
  void obey(const command::Encode& encode);
  void obey(const command::Denoise& denoise);
  void obey(const command::Decode& decode);
  void obey(const command::Write& write);
  void obey(const command::Stop& stop);
  void obey(const command::Abort& abort);

  Parts parts_;
  const Placement& placement_;
  const Clock::time_point began_ = Clock::now();
  Clock::time_point looked_ = began_;
  Clock::duration slept_{};  // this process was stopped: nobody else is late for that
  Scheduler scheduler_;
  std::map<int, Clock::time_point> heard_;  // of other ranks
  std::map<int64_t, std::unique_ptr<Open>> open_;
  std::map<int64_t, Work> works_;
  std::vector<Record> finished_;
  std::vector<Record> bad_;  // requests that cannot be drawn, until the run has begun
  bool begun_ = false;
  std::deque<Request> suspects_;  // not yet submitted
  bool source_ended_ = false;
  bool closed_ = false;  // nor are suspects left
  bool draining_ = false;
  bool finishing_ = false;
  bool failures_ = false;
  bool blames_a_request_ = false;
  int being_written_ = 0;  // pictures
  Clock::time_point shown_life_{};
  std::optional<Ending> ending_;
};

}  // namespace flux
