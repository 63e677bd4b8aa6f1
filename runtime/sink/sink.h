#pragma once

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "model/request.h"
#include "runtime/inbox.h"
#include "runtime/journal.h"
#include "runtime/record.h"
#include "runtime/sink/output_folder.h"

namespace flux {

/// Puts pictures into the output folder and what became of every job into its journal, on a thread of its own.
class Sink {
 public:
  /// Called on the sink's thread when the record is on the disk; its error is set when the picture could not be
  /// written.
  using OnRecorded = std::function<void(const Record&)>;

  /// Removes the run before. Throws Invalid.
  Sink(OutputFolder folder, RunFacts facts, OnRecorded on_recorded);

  /// Finishes what was put, and the gallery.
  ~Sink();

  /// A job that failed has no image.
  void put(Record record, std::optional<Image> image);

  /// Writes what was put, then the gallery; nothing can be put afterwards. Says whether the gallery could be written.
  bool finish();

 private:
  struct Item {
    Record record;
    std::optional<Image> image;
  };

  void work();
  void write(Item& item);

  OutputFolder folder_;
  RunFacts facts_;
  OnRecorded on_recorded_;
  Journal journal_;
  std::vector<Record> records_;  // of the thread, until it is joined
  Inbox<Item> inbox_;
  std::thread thread_;
};

}  // namespace flux
