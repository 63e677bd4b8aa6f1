#include "runtime/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <variant>

#include "model/dtype_name.h"
#include "runtime/version.h"

namespace flux {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

/// From a card's decoding to a large picture on CPUs.
prometheus::Histogram::BucketBoundaries buckets() {
  return {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
}

}  // namespace

Metrics::Metrics(int64_t pictures, int64_t there, const Placement& placement)
    : registry_(std::make_shared<prometheus::Registry>()), left_(pictures - there) {
  BuildGauge()
      .Name("flux_dist_build_info")
      .Help("Which program this is; always 1")
      .Register(*registry_)
      .Add({{"version", program_version}, {"revision", program_revision}, {"dtype", dtype_name(placement.dtype)}})
      .Set(1);
  auto& asked = BuildGauge().Name("flux_dist_pictures").Help("Pictures of the run").Register(*registry_);
  asked.Add({{"state", "asked"}}).Set(static_cast<double>(pictures));
  asked.Add({{"state", "there_before"}}).Set(static_cast<double>(there));
  left_gauge_ = &asked.Add({{"state", "left"}});
  left_gauge_->Set(static_cast<double>(left_));
  auto& done = BuildCounter().Name("flux_dist_pictures_total").Help("Pictures that are finished").Register(*registry_);
  drawn_ = &done.Add({{"status", "drawn"}});
  failed_ = &done.Add({{"status", "failed"}});
  auto& stages = BuildHistogram().Name("flux_dist_stage_seconds").Help("What a stage takes").Register(*registry_);
  for (const char* stage : {"encode", "denoise", "decode"}) stages_[stage] = &stages.Add({{"stage", stage}}, buckets());
  whole_ = &BuildHistogram()
                .Name("flux_dist_picture_seconds")
                .Help("From when a picture's request is handed over until its file is on the disk")
                .Register(*registry_)
                .Add({}, buckets());
  auto& at_stage = BuildGauge()
                       .Name("flux_dist_pictures_at_stage")
                       .Help("Pictures that wait for a stage or are in it")
                       .Register(*registry_);
  for (const char* stage : {"encode", "denoise", "decode", "write"})
    at_stage_[stage] = &at_stage.Add({{"stage", stage}});
  auto& memory = BuildGauge()
                     .Name("flux_dist_peak_memory_bytes")
                     .Help("Most that a rank took of its card for tensors, or of its host where it runs on CPUs")
                     .Register(*registry_);
  for (const auto& place : placement.ranks)
    peak_memory_[place.rank] =
        &memory.Add({{"rank", std::to_string(place.rank)}, {"of", place.device.is_cpu() ? "host" : "card"}});
  auto& busy =
      BuildCounter().Name("flux_dist_busy_seconds_total").Help("In which a stage had work").Register(*registry_);
  for (int rank : placement.encoders())
    encoders_[rank].seconds = &busy.Add({{"stage", "encode"}, {"rank", std::to_string(rank)}});
  for (int rank : placement.decoders())
    decoders_[rank].seconds = &busy.Add({{"stage", "decode"}, {"rank", std::to_string(rank)}});
  for (size_t number = 0; number < placement.replicas.size(); ++number)
    replicas_[static_cast<int>(number)].seconds =
        &busy.Add({{"stage", "denoise"}, {"replica", std::to_string(number)}});
}

Metrics::~Metrics() = default;

void Metrics::Busy::take(Time now) {
  if (waiting++ == 0) since = now;
}

void Metrics::Busy::done(Time now) {
  seconds->Increment(in_seconds(now - since));
  since = now;
  --waiting;
}

void Metrics::on(Time now, const Command& command) {
  std::visit(Overloaded{
                 [&](const command::Encode& encode) {
                   encoded_by_[encode.request] = encode.rank;
                   encoders_.at(encode.rank).take(now);
                 },
                 [&](const command::Denoise& denoise) {
                   drawn_by_[denoise.picture] = denoise.replica;
                   replicas_.at(denoise.replica).take(now);
                 },
                 [&](const command::Decode& decode) {
                   decoded_by_[decode.picture] = decode.rank;
                   decoders_.at(decode.rank).take(now);
                 },
                 [](const auto&) {},
             },
             command);
}

void Metrics::on(Time now, const Event& event) {
  const auto done = [now](std::map<int64_t, int>& by, std::map<int, Busy>& stages, int64_t what) {
    if (const auto who = by.extract(what)) stages.at(who.mapped()).done(now);
  };
  std::visit(Overloaded{
                 [&](const event::Submitted& of) {
                   prometheus::Gauge* first = at_stage_.at("encode");
                   first->Increment(static_cast<double>(of.pictures.size()));
                   for (int64_t picture : of.pictures) under_way_[picture] = {first, now};
                   to_encode_[of.request] = of.pictures;
                 },
                 [&](const event::Encoded& of) {
                   done(encoded_by_, encoders_, of.request);
                   if (const auto encoded = to_encode_.extract(of.request))
                     for (int64_t picture : encoded.mapped()) move(picture, at_stage_.at("denoise"));
                 },
                 [&](const event::RequestFailed& of) {
                   done(encoded_by_, encoders_, of.request);
                   to_encode_.erase(of.request);
                 },
                 [&](const event::Denoised& of) {
                   done(drawn_by_, replicas_, of.picture);
                   move(of.picture, at_stage_.at("decode"));
                 },
                 [&](const event::Decoded& of) {
                   done(decoded_by_, decoders_, of.picture);
                   move(of.picture, at_stage_.at("write"));
                 },
                 [&](const event::Alive& rank) {
                   if (rank.peak_memory > 0) peak_memory_.at(rank.rank)->Set(static_cast<double>(rank.peak_memory));
                 },
                 [&](const event::PictureFailed& of) { done(decoded_by_, decoders_, of.picture); },
                 [](const auto&) {},
             },
             event);
}

void Metrics::move(int64_t picture, prometheus::Gauge* stage) {
  const auto found = under_way_.find(picture);
  if (found == under_way_.end()) return;
  found->second.stage->Decrement();
  stage->Increment();
  found->second.stage = stage;
}

void Metrics::on(Time now, const Record& record) {
  const auto picture = under_way_.extract(record.picture);
  if (picture) picture.mapped().stage->Decrement();
  left_gauge_->Set(static_cast<double>(--left_));
  if (!record.drawn()) return failed_->Increment();
  drawn_->Increment();
  if (picture) whole_->Observe(in_seconds(now - picture.mapped().submitted));
  stages_.at("encode")->Observe(record.seconds.encode);
  stages_.at("denoise")->Observe(record.seconds.denoise);
  stages_.at("decode")->Observe(record.seconds.decode);
}

std::string Metrics::text() const { return prometheus::TextSerializer().Serialize(registry_->Collect()); }

}  // namespace flux
