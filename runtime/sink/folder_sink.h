#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/inbox.h"
#include "runtime/sink/output_folder.h"
#include "runtime/sink/sink.h"

namespace flux {

/// Compresses pictures and puts them into the output folder on a few threads of its own, then a gallery of all.
class FolderSink : public Sink {
 public:
  /// `folder` outlives the sink. `on_news`, on a thread of the sink: there is something to take.
  FolderSink(const OutputFolder& folder, RunFacts facts, std::function<void()> on_news);
  ~FolderSink() override;
  FolderSink(const FolderSink&) = delete;
  FolderSink& operator=(const FolderSink&) = delete;

  void put(const Record& record, Image image) override;
  void finish(std::vector<Record> records) override;
  std::vector<Written> take_written() override;
  bool finished() const override { return finished_; }
  std::string problem() const override;

 private:
  struct Task {
    Record record;
    std::optional<Image> image;           // of a picture; else
    std::vector<Record> gallery_records;  // the gallery's
  };

  void work();
  void write_picture(const Task& task);
  void write_gallery(Task&& task);
  Written written(const Task& task) const;
  std::string gallery_problem(std::vector<Record> records) const;

  const OutputFolder& folder_;
  const RunFacts facts_;
  const std::function<void()> on_news_;
  Inbox<Task> inbox_;
  mutable std::mutex mutex_;
  std::condition_variable all_written_;
  int64_t unwritten_ = 0;         // pictures, under the mutex
  std::vector<Written> written_;  // under the mutex
  std::string problem_;           // under the mutex
  std::atomic<bool> finished_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace flux
