#include "runtime/bench/picture_log.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace flux {

template <typename Act>
void PictureLog::of_request(int64_t request, const Act& act) {
  for (int64_t picture : requests_.at(request))
    if (const auto found = under_way_.find(picture); found != under_way_.end()) act(found->second);
}

void PictureLog::on(Time now, const Event& event) {
  std::visit(
      Overloaded{
          [&](const event::Submitted& of) {
            requests_[of.request] = of.pictures;
            for (int64_t picture : of.pictures) under_way_[picture].submitted = now;
          },
          [&](const event::Encoded& of) { of_request(of.request, [&](PictureTimes& times) { times.encoded = now; }); },
          [&](const event::Denoised& of) {
            PictureTimes& times = under_way_.at(of.picture);
            times.denoising = std::max(*times.to_replica, free_[times.replica]);
            times.denoised = free_[times.replica] = now;
          },
          [&](const event::Decoded& of) { under_way_.at(of.picture).decoded = now; },
          [](const auto&) {},
      },
      event);
}

void PictureLog::on(Time now, const Command& command) {
  std::visit(Overloaded{
                 [&](const command::Encode& of) {
                   of_request(of.request, [&](PictureTimes& times) {
                     times.to_encoder = now;
                     times.encoder = of.rank;
                   });
                 },
                 [&](const command::Denoise& of) {
                   PictureTimes& times = under_way_.at(of.picture);
                   times.to_replica = now;
                   times.replica = of.replica;
                 },
                 [&](const command::Decode& of) {
                   PictureTimes& times = under_way_.at(of.picture);
                   times.to_decoder = now;
                   times.decoder = of.rank;
                 },
                 [](const auto&) {},
             },
             command);
}

void PictureLog::on(Time now, const Record& record) {
  PictureTimes times;
  if (auto found = under_way_.extract(record.picture)) times = std::move(found.mapped());
  times.done = now;
  times.seconds = record.seconds;
  times.error = record.error;
  done_[record.picture] = std::move(times);
}

}  // namespace flux
