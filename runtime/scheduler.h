#pragma once

// What to do next. Pure: no clock, thread, MPI or file; whoever drives it says what happened and what time it is.
// A request is a prompt, encoded once; its pictures, numbered by their position in the run, are drawn one by one.

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace flux {

/// Time since the run began.
using Time = std::chrono::milliseconds;

namespace event {

struct Submitted {  // a request that can be drawn
  int64_t request;
  std::vector<int64_t> pictures;  // of it that are to be drawn, at least one
};
struct Closed {};  // no more requests will come
struct Drain {};   // what is being drawn is finished, and nothing more begun
struct Ready {     // the rank has loaded its stages
  int rank;
};
struct Alive {  // the rank gave a sign of life; picture -1 when it draws nothing
  int rank;
  int64_t picture;
  int64_t step;
  int64_t steps;
  int64_t peak_memory = 0;  // bytes
};
struct Encoded {
  int64_t request;
};
struct Denoised {
  int64_t picture;
};
struct Decoded {
  int64_t picture;
};
struct Written {
  int64_t picture;
};
struct RequestFailed {  // it cannot be encoded, so none of its pictures is drawn
  int64_t request;
};
struct PictureFailed {  // in whichever stage; that stage is free again
  int64_t picture;
};
struct RankFailed {
  int rank;
  std::string why;
};
struct Tick {};  // time went by

}  // namespace event

using Event = std::variant<event::Submitted, event::Closed, event::Drain, event::Ready, event::Alive, event::Encoded,
                           event::Denoised, event::Decoded, event::Written, event::RequestFailed, event::PictureFailed,
                           event::RankFailed, event::Tick>;

namespace command {

struct Begin {};  // everything is loaded: the run before may give way to this one
struct Encode {
  int64_t request;
  int rank;
};
struct Denoise {  // a busy replica keeps it for next
  int64_t picture;
  int replica;
};
struct Decode {
  int64_t picture;
  int rank;
};
struct Write {
  int64_t picture;
};
struct Stop {};  // everything is done, or drained
struct Abort {   // the job cannot go on
  int rank;
  std::string why;
};

}  // namespace command

using Command = std::variant<command::Begin, command::Encode, command::Denoise, command::Decode, command::Write,
                             command::Stop, command::Abort>;

/// Drives requests through encode and their pictures through denoise -> decode -> write, over any number of encoders,
/// replicas of the denoiser and decoders. Nothing starts before everything is loaded. Pictures start in the order
/// submitted. A replica that becomes free gets the oldest conditioned picture; one that draws gets its next in the
/// second half, no earlier than its tensors need to arrive in time, for another may become free before. A picture is
/// decoded by the rank that led its drawing where that decodes, else by any. What is conditioned, decoded or written
/// ahead is bounded.
class Scheduler {
 public:
  struct Setup {
    std::vector<int> encoders;               // ranks
    std::vector<int> decoders;               // ranks
    std::vector<std::vector<int>> replicas;  // their ranks
    Time timeout{60'000};                    // for a step, an encoding, a decoding
    Time startup_timeout{600'000};           // for loading
  };

  explicit Scheduler(const Setup& setup);

  /// After Stop or Abort nothing more is commanded.
  std::vector<Command> on(const Event& event, Time now);

  /// Whether further requests would be taken up soon: whoever reads them may wait until then.
  bool wants_requests() const;

 private:
  struct Request {
    int64_t request = -1;
    std::vector<int64_t> pictures{};
  };
  struct Replica {
    std::vector<int> ranks;
    std::deque<int64_t> pictures;    // the first is being drawn, a second waits there
    std::map<int, int64_t> steps{};  // of the first picture, by rank
    int64_t steps_in_all = 0;        // 0: not known yet
    Time began{0};                   // the first picture
    Time first{0};                   // its first step was done
    Time progress{0};
    bool waited = false;            // for the first picture, idle
    bool decodes = false;           // its leader does
    size_t undecoded = 0;           // latents of its pictures
    std::optional<Time> arrival{};  // how long a picture's tensors took to arrive, when it last waited for them
    int64_t step() const;           // of the slowest rank
    Time step_time() const;         // of the first picture
    Time left(Time now) const;      // of the first picture
    bool wants_next(Time now) const;
  };
  struct Latents {
    int64_t picture;
    size_t replica;
  };
  struct Encoder {
    int rank;
    bool busy = false;
    Request doing{};
    Time since{0};
  };
  struct Decoder {
    int rank;
    int64_t doing = -1;  // a picture
    Time since{0};
  };

  void handle(const event::Submitted& submitted, Time now);
  void handle(const event::Closed& closed, Time now);
  void handle(const event::Drain& drain, Time now);
  void handle(const event::Ready& ready, Time now);
  void handle(const event::Alive& alive, Time now);
  void handle(const event::Encoded& encoded, Time now);
  void handle(const event::Denoised& denoised, Time now);
  void handle(const event::Decoded& decoded, Time now);
  void handle(const event::Written& written, Time now);
  void handle(const event::RequestFailed& failed, Time now);
  void handle(const event::PictureFailed& failed, Time now);
  void handle(const event::RankFailed& failed, Time now);
  void handle(const event::Tick& tick, Time now);

  Encoder* encoding(int64_t request);
  void begin_next(Replica& replica, Time now);
  void free_decoder(int64_t picture, Time now);
  bool takes_pictures(const Replica& replica) const;
  void fill_encoders(Time now);
  void fill_replicas(Time now);
  void fill_decoders(Time now);
  void give(Replica& replica, Time now);
  void check_loading(Time now);
  void check_deadlines(Time now);
  void overdue(const std::vector<int>& ranks, Time limit, const std::string& what, const std::string& flag);
  bool everything_ready() const { return ready_.size() == last_seen_.size(); }
  bool finished() const;

  Time timeout_, startup_timeout_;
  std::vector<Encoder> encoders_;
  std::vector<Replica> replicas_;
  std::map<int, size_t> replica_of_;  // by rank
  std::vector<Decoder> decoders_;
  std::map<int, Time> last_seen_;  // every rank
  std::set<int> ready_;
  bool begun_ = false;
  bool closed_ = false;
  bool draining_ = false;
  bool over_ = false;
  std::deque<Request> submitted_;
  std::deque<int64_t> conditioned_;  // pictures
  std::deque<Latents> latents_;
  std::set<int64_t> writing_;  // pictures
  std::vector<Command> commands_;
};

}  // namespace flux
