#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "runtime/run_log.h"

namespace flux {

/// Which requests ranks are working on: where a rank fails, its request may be why, and a later start draws it last and
/// alone.
class Suspects : public Listener {
 public:
  void on(Time, const Event& event) override;
  void on(Time, const Command& command) override;
  void on(Time, const Request& request) override;
  void on(Time, const Record& record) override;

  /// Identities of what the rank was working on that ended the job; none where no rank did.
  std::set<std::string> of_the_culprit() const;

  /// Where these come from (FILE:LINE), in words; empty where no rank ended the job, or it worked on nothing.
  std::string origins_of_the_culprit() const;

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

  std::set<std::string> requests_of(const Work& work, std::string Named::* name) const;
  std::set<std::string> of_the_culprit(std::string Named::* name) const;
  void encoded(int64_t request);
  void done_with(int64_t picture);

  std::map<int, Work> work_;           // by rank
  std::map<int64_t, Named> requests_;  // while they are encoded
  std::map<int64_t, Named> pictures_;  // their requests, until they are there
  std::optional<int> culprit_;
};

}  // namespace flux
