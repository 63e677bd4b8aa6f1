#pragma once

// What to do next. Pure: no clock, thread, MPI or file; whoever drives it says what happened and what time it is.

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace flux {

/// Time since the run began.
using Time = std::chrono::milliseconds;

namespace event {

struct Submitted {  // a job that can be drawn
  int64_t job;
};
struct Closed {};  // no more jobs will come
struct Ready {     // the rank has loaded its stages
  int rank;
};
struct Alive {  // the rank gave a sign of life; job and step as in Step, job -1 when it has nothing to do
  int rank;
  int64_t job;
  int64_t step;
  int64_t steps;
};
struct Encoded {
  int64_t job;
};
struct Denoised {
  int64_t job;
};
struct Decoded {
  int64_t job;
};
struct Written {
  int64_t job;
};
struct JobFailed {  // in whichever stage; that stage is free again
  int64_t job;
};
struct RankFailed {
  int rank;
  std::string why;
};
struct Tick {};  // time went by

}  // namespace event

using Event = std::variant<event::Submitted, event::Closed, event::Ready, event::Alive, event::Encoded, event::Denoised,
                           event::Decoded, event::Written, event::JobFailed, event::RankFailed, event::Tick>;

namespace command {

struct Encode {
  int64_t job;
};
struct Denoise {  // a busy replica keeps it for next
  int64_t job;
  int replica;
};
struct Decode {
  int64_t job;
};
struct Write {
  int64_t job;
};
struct Stop {};  // everything is done
struct Abort {   // the job cannot go on
  int rank;
  std::string why;
};

}  // namespace command

using Command =
    std::variant<command::Encode, command::Denoise, command::Decode, command::Write, command::Stop, command::Abort>;

/// Drives jobs through encode -> denoise -> decode -> write: one encoder, one decoder, replicas of the denoiser. Jobs
/// start in the order submitted. A replica that becomes free gets the oldest conditioned job; one that draws gets its
/// next job when half through, so that it need not wait for tensors. What is conditioned, decoded or written ahead is
/// bounded.
class Scheduler {
 public:
  struct Setup {
    int encoder = 0;                         // its rank
    std::vector<std::vector<int>> replicas;  // their ranks
    Time timeout{60'000};                    // for a step, an encoding, a decoding
    Time startup_timeout{600'000};           // for loading
  };

  explicit Scheduler(Setup setup);

  /// After Stop or Abort nothing more is commanded.
  std::vector<Command> on(const Event& event, Time now);

 private:
  struct Replica {
    std::vector<int> ranks;
    std::deque<int64_t> jobs;      // the first is being drawn, a second waits there
    std::map<int, int64_t> steps;  // of the first job, by rank
    int64_t steps_of_job = 0;      // 0: not known yet
    Time progress{0};
    bool ready = false;
    int64_t step() const;  // of the slowest rank
    bool half_through() const { return steps_of_job > 0 && 2 * step() >= steps_of_job; }
  };
  struct Single {  // a stage that does one job at a time
    int64_t job = -1;
    Time since{0};
    bool busy() const { return job >= 0; }
  };

  void handle(const event::Submitted& submitted, Time now);
  void handle(const event::Closed& closed, Time now);
  void handle(const event::Ready& ready, Time now);
  void handle(const event::Alive& alive, Time now);
  void handle(const event::Encoded& encoded, Time now);
  void handle(const event::Denoised& denoised, Time now);
  void handle(const event::Decoded& decoded, Time now);
  void handle(const event::Written& written, Time now);
  void handle(const event::JobFailed& failed, Time now);
  void handle(const event::RankFailed& failed, Time now);
  void handle(const event::Tick& tick, Time now);

  void fill_replicas(Time now);
  void give(Replica& replica, Time now);
  void finish_first(Replica& replica, Time now);
  void check_deadlines(Time now);
  void overdue(const std::vector<int>& ranks, Time limit, const std::string& what, const std::string& flag);
  bool everything_ready() const { return ready_.size() == last_seen_.size(); }
  bool finished() const;

  Setup setup_;
  std::vector<Replica> replicas_;
  std::map<int, Time> last_seen_;  // every rank
  std::set<int> ready_;
  bool closed_ = false;
  bool over_ = false;
  std::deque<int64_t> submitted_;
  Single encoding_;
  std::deque<int64_t> conditioned_;
  std::deque<int64_t> latents_;
  Single decoding_;
  std::set<int64_t> writing_;
  std::vector<Command> commands_;
};

}  // namespace flux
