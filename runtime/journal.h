#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "parallel/world.h"
#include "runtime/run_log.h"
#include "runtime/sink/appended_file.h"
#include "runtime/sink/output_folder.h"

namespace flux {

/// The `run` line of a journal: program and libraries, model, seed, placement, whose run it is, and from whom it took
/// the folder over.
std::string run_line(const RunFacts& facts, int64_t fence, const std::string& taken_from = "");

/// journal.jsonl of a run: a JSON object a line, each with its `event`.
///   run    first, and again each time the run is resumed: what fixes the bits of its pictures
///   began  a request and the files it will become, before it is handed to any rank
///   done   a picture, once its file and folder are on the disk, or why it failed
///   end    how the run ended
/// Whatever it cannot write down is an Invalid: a run that cannot be recorded does not go on.
class Journal : public Listener {
 public:
  /// `folder` outlives it. Nothing is touched before the run begins.
  Journal(OutputFolder& folder, RunFacts facts);

  /// The run before gives way, or is gone on with.
  void begin();

  void on(Time, const Command& command) override;
  void on(Time, const Request& request) override;
  void on(Time, const Record& record) override;

  /// After this nothing more may be written. `suspects`: identities of requests, one of which may be why a rank failed.
  void end(const Ending& ending, const std::set<std::string>& suspects = {});

 private:
  void append(const std::string& line, bool to_the_disk);

  OutputFolder& folder_;
  const RunFacts facts_;
  std::unique_ptr<AppendedFile> file_;  // since the run began
};

}  // namespace flux
