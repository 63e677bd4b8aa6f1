#include "runtime/suspects.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <variant>

namespace flux {

void Suspects::on(Time, const Event& event) {
  std::visit(Overloaded{
                 [this](const event::Alive& alive) {
                   work_[alive.rank].draws = alive.picture >= 0 ? std::optional(alive.picture) : std::nullopt;
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
                 [this](const command::Decode& decode) { work_[decode.rank].decodes = decode.picture; },
                 [this](const command::Abort& abort) { culprit_ = abort.rank; },
                 [](const auto&) {},
             },
             command);
}

void Suspects::on(Time, const Request& request) {
  const Named named{request.id, request.origin};
  requests_[request.index] = named;
  for (int64_t k = 0; k < request.pictures; ++k) pictures_[request.first_picture + k] = named;
}

void Suspects::on(Time, const Record& record) {
  done_with(record.picture);
  pictures_.erase(record.picture);
}

void Suspects::encoded(int64_t request) {
  requests_.erase(request);
  for (auto& [rank, work] : work_)
    if (work.encodes == request) work.encodes.reset();
}

void Suspects::done_with(int64_t picture) {
  for (auto& [rank, work] : work_)
    for (auto* stage : {&work.draws, &work.decodes})
      if (*stage == picture) stage->reset();
}

std::set<std::string> Suspects::requests_of(const Work& work, std::string Named::* name) const {
  std::set<std::string> names;
  const auto add = [&](const std::optional<int64_t>& what, const std::map<int64_t, Named>& known) {
    if (!what) return;
    if (const auto found = known.find(*what); found != known.end()) names.insert(found->second.*name);
  };
  add(work.encodes, requests_);
  add(work.draws, pictures_);
  add(work.decodes, pictures_);
  return names;
}

std::set<std::string> Suspects::of_the_culprit(std::string Named::* name) const {
  if (!culprit_) return {};
  const auto work = work_.find(*culprit_);
  return work == work_.end() ? std::set<std::string>{} : requests_of(work->second, name);
}

std::set<std::string> Suspects::of_the_culprit() const { return of_the_culprit(&Named::id); }

std::string Suspects::origins_of_the_culprit() const {
  return fmt::format("{}", fmt::join(of_the_culprit(&Named::origin), ", "));
}

std::set<std::string> Suspects::of_all() const {
  std::set<std::string> identities;
  for (const auto& [rank, work] : work_) identities.merge(requests_of(work, &Named::id));
  return identities;
}

}  // namespace flux
