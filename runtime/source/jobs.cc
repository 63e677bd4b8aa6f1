#include "runtime/source/jobs.h"

namespace flux {

std::vector<Job> read_jobs(const Settings& settings, const ModelFolder& model, std::istream& standard_input,
                           const Warn& warn) {
  std::vector<Job> jobs;
  const auto source = open_source(settings, model, standard_input, warn);
  while (const auto request = source->next()) {
    for (int64_t i = 0; i < request->pictures; ++i) {
      jobs.push_back({request->first_picture + i, request->origin, request->prompt, request->error});
      jobs.back().prompt.picture.seed += static_cast<uint64_t>(i);
    }
  }
  return jobs;
}

}  // namespace flux
