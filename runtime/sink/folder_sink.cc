#include "runtime/sink/folder_sink.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "parallel/rank/thread_name.h"
#include "runtime/sink/gallery.h"
#include "runtime/sink/jpg.h"
#include "runtime/sink/new_file.h"
#include "runtime/sink/parts.h"
#include "runtime/sink/png.h"

namespace flux {
namespace {

constexpr size_t kThreads = 4;  // several replicas finish pictures faster than one thread compresses them

}  // namespace

FolderSink::FolderSink(const OutputFolder& folder, RunFacts facts, std::function<void()> on_news)
    : folder_(folder), facts_(std::move(facts)), on_news_(std::move(on_news)) {
  try {
    while (threads_.size() < kThreads) threads_.push_back(start_thread("pictures", [this] { work(); }));
  } catch (const std::exception&) {  // no more threads than these
    if (!threads_.empty()) return;
    throw;
  }
}

FolderSink::~FolderSink() {
  inbox_.close();
  for (auto& thread : threads_) thread.join();
}

void FolderSink::put(const Record& record, Image image) {
  {
    const std::lock_guard lock(mutex_);
    ++unwritten_;
  }
  inbox_.put({record, std::move(image), {}});
}

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
    if (task->image)
      write_picture(*task);
    else
      write_gallery(std::move(*task));
    on_news_();
  }
}

void FolderSink::write_picture(const Task& task) {
  Written one = written(task);
  const std::lock_guard lock(mutex_);
  written_.push_back(std::move(one));
  if (--unwritten_ == 0) all_written_.notify_all();
}

/// The last task: other threads may still be at the pictures before it.
void FolderSink::write_gallery(Task&& task) {
  {
    std::unique_lock lock(mutex_);
    while (!all_written_.wait_for(lock, std::chrono::hours(1), [this] { return unwritten_ == 0; })) {
    }
  }
  std::string problem = gallery_problem(std::move(task.gallery_records));
  const std::lock_guard lock(mutex_);
  problem_ = std::move(problem);
  finished_ = true;
}

Sink::Written FolderSink::written(const Task& task) const {
  try {
    const Prompt& prompt = task.record.prompt.value();
    const auto text = parameters_text(prompt, facts_), json = parameters_json(prompt, facts_);
    const std::string bytes = folder_.format() == ImageFormat::png
                                  ? png(*task.image, {{"parameters", text}, {"flux-dist", json}})
                                  : jpg(*task.image, text, json);
    folder_.require_ownership();
    const std::string file = folder_.file_name(task.record.picture, prompt.picture.seed, prompt.id);
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
