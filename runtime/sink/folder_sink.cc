#include "runtime/sink/folder_sink.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "runtime/sink/gallery.h"
#include "runtime/sink/jpg.h"
#include "runtime/sink/new_file.h"
#include "runtime/sink/parts.h"
#include "runtime/sink/png.h"

namespace flux {

FolderSink::FolderSink(const OutputFolder& folder, RunFacts facts, std::function<void()> on_news)
    : folder_(folder), facts_(std::move(facts)), on_news_(std::move(on_news)), thread_([this] { work(); }) {}

FolderSink::~FolderSink() {
  inbox_.close();
  thread_.join();
}

void FolderSink::put(const Record& record, Image image) { inbox_.put({record, std::move(image), {}}); }

void FolderSink::finish(std::vector<Record> records) { inbox_.put({{}, std::nullopt, std::move(records)}); }

std::vector<Sink::Written> FolderSink::take_written() {
  const std::lock_guard lock(mutex_);
  return std::exchange(written_, {});
}

std::string FolderSink::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void FolderSink::work() {
  while (auto task = inbox_.take()) {
    if (task->image) {
      Written one = written(*task);
      const std::lock_guard lock(mutex_);
      written_.push_back(std::move(one));
    } else {
      std::string problem = gallery_problem(std::move(task->gallery_records));
      const std::lock_guard lock(mutex_);
      problem_ = std::move(problem);
      finished_ = true;
    }
    on_news_();
  }
}

Sink::Written FolderSink::written(const Task& task) const {
  try {
    const Prompt& prompt = task.record.prompt.value();
    const auto text = parameters_text(prompt, facts_), json = parameters_json(prompt, facts_);
    const std::string bytes = folder_.format() == ImageFormat::png
                                  ? png(*task.image, {{"parameters", text}, {"flux-dist", json}})
                                  : jpg(*task.image, text, json);
    folder_.require_ownership();
    const std::string file = folder_.file_name(task.record.picture, prompt.picture.seed);
    write_new_file(folder_.path() / file, bytes);
    return {task.record.picture, file, ""};
  } catch (const std::exception& error) {
    return {task.record.picture, "", error.what()};
  }
}

std::string FolderSink::gallery_problem(std::vector<Record> records) const {
  try {
    std::sort(records.begin(), records.end(), [](const Record& a, const Record& b) { return a.picture < b.picture; });
    folder_.require_ownership();
    write_new_file(folder_.path() / kGalleryName, gallery(records, facts_));
    if (const Part& part = folder_.part(); !part.whole())
      write_gallery_of_parts(folder_.path().parent_path(), part.of, facts_);
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace flux
