#include "runtime/sink/sink.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "parallel/rank/errors.h"
#include "runtime/sink/gallery.h"
#include "runtime/sink/jpg.h"
#include "runtime/sink/new_file.h"
#include "runtime/sink/png.h"

namespace flux {
namespace {

OutputFolder cleared(OutputFolder folder) {
  folder.clear_previous_run();
  return folder;
}

}  // namespace

Sink::Sink(OutputFolder folder, RunFacts facts, OnRecorded on_recorded)
    : folder_(cleared(std::move(folder))),
      facts_(std::move(facts)),
      on_recorded_(std::move(on_recorded)),
      journal_(folder_.path()),
      thread_([this] { work(); }) {}

Sink::~Sink() { finish(); }

void Sink::put(Record record, std::optional<Image> image) { inbox_.put({std::move(record), std::move(image)}); }

bool Sink::finish() {
  if (!thread_.joinable()) return true;
  inbox_.close();
  thread_.join();
  std::sort(records_.begin(), records_.end(),
            [](const Record& a, const Record& b) { return a.job.index < b.job.index; });
  try {
    write_new_file(folder_.path() / kGalleryName, gallery(records_, facts_));
    return true;
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
    return false;
  }
}

void Sink::work() {
  while (auto item = inbox_.take()) {
    try {
      write(*item);
    } catch (const std::exception& error) {
      item->record.file.clear();
      item->record.error = error.what();
    }
    try {
      journal_.append(journal_line(item->record, facts_));
    } catch (const std::exception& error) {
      spdlog::error("{}", error.what());
    }
    records_.push_back(item->record);
    on_recorded_(item->record);
  }
}

void Sink::write(Item& item) {
  if (!item.image) return;
  const Job& job = item.record.job;
  const auto text = parameters_text(job, facts_), json = parameters_json(job, facts_);
  const std::string bytes = folder_.format() == ImageFormat::png
                                ? png(*item.image, {{"parameters", text}, {"flux-dist", json}})
                                : jpg(*item.image, text, json);
  item.record.file = folder_.file_name(job);
  write_new_file(folder_.path() / item.record.file, bytes);
}

}  // namespace flux
