#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/run_log.h"

namespace flux {

/// What happened to one picture when, on the run's clock; absent: never. A picture that failed comes no further.
struct PictureTimes {
  std::optional<Time> submitted{};   // to the scheduler
  std::optional<Time> to_encoder{};  // its request
  std::optional<Time> encoded{};
  std::optional<Time> to_replica{};
  std::optional<Time> denoising{};  // the replica has nothing before it
  std::optional<Time> denoised{};
  std::optional<Time> to_decoder{};
  std::optional<Time> decoded{};
  Time done{0};                                  // written, or failed
  int encoder = -1, replica = -1, decoder = -1;  // ranks; of the replica its number
  StageSeconds seconds{};                        // that the stages themselves took, as their ranks say
  std::string error{};                           // not empty: it failed
};

/// Writes down what happens to every picture of a run.
class PictureLog : public Listener {
 public:
  void on(Time now, const Event& event) override;
  void on(Time now, const Command& command) override;
  void on(Time now, const Record& record) override;

  /// By picture: those that are done.
  const std::map<int64_t, PictureTimes>& pictures() const { return done_; }

 private:
  template <typename Act>
  void of_request(int64_t request, const Act& act);

  std::map<int64_t, PictureTimes> under_way_, done_;
  std::map<int64_t, std::vector<int64_t>> requests_;  // their pictures
  std::map<int, Time> free_;                          // since when each replica has nothing before the next picture
};

}  // namespace flux
