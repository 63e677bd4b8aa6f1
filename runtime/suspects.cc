#include "runtime/suspects.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>
#include <variant>
#include <vector>

#include "model/files/printable.h"

namespace flux {

void Suspects::on(Time, const Event& event) {
  std::visit(Overloaded{
                 [this](const event::Alive& alive) {
                   const auto draws = alive.picture >= 0 ? std::optional(alive.picture) : std::nullopt;
                   if (std::exchange(work_[alive.rank].draws, draws) != draws) tell(alive.rank);
                 },
                 [this](const event::Encoded& of) { encoded(of.request); },
                 [this](const event::RequestFailed& of) { encoded(of.request); },
                 [this](const event::Denoised& of) { done_with(of.picture); },
                 [this](const event::Decoded& of) { done_with(of.picture); },
                 [](const auto&) {},
             },
             event);
}

void Suspects::on(Time, const Command& command) {
  std::visit(Overloaded{
                 [this](const command::Encode& encode) { work_[encode.rank].encodes = encode.request; },
                 [this](const command::Decode& decode) {
                   work_[decode.rank].decodes = decode.picture;
                   tell(decode.rank);
                 },
                 [this](const command::Abort& abort) { culprit_ = abort.rank; },
                 [](const auto&) {},
             },
             command);
}

void Suspects::on(Time, const Request& request) {
  const Named named{request.id, request.origin};
  requests_[request.index] = named;
  for (int64_t k = 0; k < request.pictures; ++k) pictures_[request.first_picture + k] = named;
  for (const auto& [rank, work] : work_)  // whose order to encode it went ahead
    if (work.encodes == request.index) tell(rank);
}

void Suspects::on(Time, const Record& record) {
  done_with(record.picture);
  pictures_.erase(record.picture);
}

void Suspects::encoded(int64_t request) {
  requests_.erase(request);
  for (auto& [rank, work] : work_) {
    if (work.encodes != request) continue;
    work.encodes.reset();
    tell(rank);
  }
}

void Suspects::done_with(int64_t picture) {
  for (auto& [rank, work] : work_)
    for (auto* stage : {&work.draws, &work.decodes}) {
      if (*stage != picture) continue;
      stage->reset();
      tell(rank);
    }
}

std::map<std::string, Suspects::Named> Suspects::by_stage(const Work& work) const {
  std::map<std::string, Named> stages;
  const auto add = [&](const char* stage, const std::optional<int64_t>& what, const std::map<int64_t, Named>& known) {
    if (!what) return;
    if (const auto found = known.find(*what); found != known.end()) stages.emplace(stage, found->second);
  };
  add("encoding", work.encodes, requests_);
  add("drawing", work.draws, pictures_);
  add("decoding", work.decodes, pictures_);
  return stages;
}

std::set<std::string> Suspects::requests_of(const Work& work) const {
  std::set<std::string> identities;
  for (const auto& [stage, named] : by_stage(work)) identities.insert(named.id);
  return identities;
}

void Suspects::tell(int rank) const {
  std::vector<std::string> stages;
  for (const auto& [stage, named] : by_stage(work_.at(rank)))
    stages.push_back(stage + " " + printable_line(named.origin));
  tell_(rank, fmt::format("{}", fmt::join(stages, " and ")));
}

std::set<std::string> Suspects::of_the_culprit() const {
  if (!culprit_) return {};
  const auto work = work_.find(*culprit_);
  return work == work_.end() ? std::set<std::string>{} : requests_of(work->second);
}

std::set<std::string> Suspects::of_all() const {
  std::set<std::string> identities;
  for (const auto& [rank, work] : work_) identities.merge(requests_of(work));
  return identities;
}

}  // namespace flux
