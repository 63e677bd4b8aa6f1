#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "runtime/run_log.h"

namespace flux {

/// Which requests ranks are working on: where a rank fails, its request may be why, and a later start draws it last and
/// alone.
class Suspects : public Listener {
 public:
  /// Hears what a rank is doing whenever that changes, in words ("drawing prompts.txt:3"); empty: nothing.
  using Tell = std::function<void(int rank, const std::string& what)>;

  explicit Suspects(Tell tell) : tell_(std::move(tell)) {}

  void on(Time, const Event& event) override;
  void on(Time, const Command& command) override;
  void on(Time, const Request& request) override;
  void on(Time, const Record& record) override;

  /// Identities of what the rank was working on that ended the job; none where no rank did.
  std::set<std::string> of_the_culprit() const;

  /// The rank that ended the job, if one did.
  const std::optional<int>& culprit() const { return culprit_; }

  /// Of what all ranks were working on: where nobody knows which rank it was.
  std::set<std::string> of_all() const;

 private:
  struct Named {
    std::string id, origin;
  };
  struct Work {
    std::optional<int64_t> encodes;         // a request
    std::optional<int64_t> draws, decodes;  // pictures
  };

  /// What the rank's stages work on: "encoding", "drawing", "decoding".
  std::map<std::string, Named> by_stage(const Work& work) const;
  std::set<std::string> requests_of(const Work& work) const;
  void tell(int rank) const;
  void encoded(int64_t request);
  void done_with(int64_t picture);

  Tell tell_;
  std::map<int, Work> work_;           // by rank
  std::map<int64_t, Named> requests_;  // while they are encoded
  std::map<int64_t, Named> pictures_;  // their requests, until they are there
  std::optional<int> culprit_;
};

}  // namespace flux
