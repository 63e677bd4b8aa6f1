#include "parallel/world.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "parallel/group.h"
#include "parallel/nccl/group.h"
#include "parallel/rank/departure.h"
#include "parallel/rank/errors.h"
#include "parallel/thread/group.h"
#include "parallel/thread/mailbox.h"

namespace flux {
namespace {

constexpr std::chrono::milliseconds kUnwindTime{1000};  // where the process is the job

/// What the worlds of one process share.
struct Process {
  using End = std::function<void(const Ending&)>;

  Process(int ranks, End on_end)
      : end(std::move(on_end)), arrivals(std::make_shared<std::vector<Arrivals>>(ranks, Arrivals(gate))) {}

  const End end;  // what else an ending is; called once

  const std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  const std::shared_ptr<std::vector<Arrivals>> arrivals;
  // By their ranks, and how often the same ranks formed a group before. Guarded by the gate's mutex.
  std::map<std::pair<std::vector<int>, int>, std::shared_ptr<ThreadGroup>> forming;
};

class ThreadWorld final : public World {
 public:
  ThreadWorld(std::shared_ptr<Process> process, std::shared_ptr<ThreadGroup> all, int rank, Deadlines deadlines)
      : process_(std::move(process)),
        deadlines_(deadlines),
        mailbox_(process_->arrivals, rank),
        everybody_(std::move(all), rank, {.collective = deadlines.startup, .startup = deadlines.startup}) {}

  int rank() const override { return mailbox_.rank(); }
  int size() const override { return mailbox_.size(); }
  Mailbox& mailbox() override { return mailbox_; }
  std::vector<std::string> exchange(const std::string& mine) override { return everybody_.exchange(mine); }
  std::unique_ptr<Communicator> group(const std::vector<int>& ranks, Transport transport, at::Device device) override;
  void end(const Ending& ending) noexcept override;
  void leave() override { exchange(""); }

 private:
  std::unique_ptr<HostGroup> host_group(const std::vector<int>& ranks);

  std::shared_ptr<Process> process_;
  Deadlines deadlines_;
  ThreadMailbox mailbox_;
  ThreadCommunicator everybody_;
  std::map<std::vector<int>, int> groups_formed_;
};

std::unique_ptr<HostGroup> ThreadWorld::host_group(const std::vector<int>& ranks) {
  const int position = position_in(ranks, rank(), size());
  const auto key = std::pair(ranks, groups_formed_[ranks]++);
  std::unique_lock lock(process_->gate->mutex);
  std::shared_ptr<ThreadGroup>& slot = process_->forming[key];
  if (!slot) slot = std::make_shared<ThreadGroup>(process_->gate, ranks);
  const std::shared_ptr<ThreadGroup> group = slot;
  if (++group->formed == static_cast<int>(ranks.size())) process_->forming.erase(key);
  process_->gate->changed.notify_all();
  process_->gate->changed.wait_for(lock, deadlines_.startup, [&] {
    return group->formed == static_cast<int>(ranks.size()) || !process_->gate->aborted.empty();
  });
  if (!process_->gate->aborted.empty()) throw Aborted("group: " + process_->gate->aborted);
  if (group->formed < static_cast<int>(ranks.size()))
    throw TimedOut(fmt::format("group of {}: {} of {} came within {}", rank_names(ranks), group->formed, ranks.size(),
                               seconds(deadlines_.startup)));
  return std::make_unique<ThreadCommunicator>(group, position, deadlines_);
}

std::unique_ptr<Communicator> ThreadWorld::group(const std::vector<int>& ranks, Transport transport,
                                                 at::Device device) {
  switch (transport) {
    case Transport::thread:
      return host_group(ranks);
    case Transport::nccl:
      return nccl_group(host_group(ranks), device, deadlines_);
    case Transport::mpi:
      break;
  }
  throw Invalid("--transport mpi: this program was not started by mpirun or srun");
}

void ThreadWorld::end(const Ending& ending) noexcept {
  {
    const std::lock_guard lock(process_->gate->mutex);
    if (!process_->gate->aborted.empty()) return;
    process_->gate->aborted = ending.why.empty() ? "the job has ended" : ending.why;
    process_->gate->changed.notify_all();
  }
  process_->end(ending);
}

std::vector<std::unique_ptr<World>> worlds_of(int ranks, Deadlines deadlines, Process::End on_end) {
  const auto process = std::make_shared<Process>(ranks, std::move(on_end));
  std::vector<int> all_ranks(ranks);
  for (int rank = 0; rank < ranks; ++rank) all_ranks[rank] = rank;
  const auto all = std::make_shared<ThreadGroup>(process->gate, all_ranks);
  std::vector<std::unique_ptr<World>> worlds;
  worlds.reserve(ranks);
  for (int rank : all_ranks) worlds.push_back(std::make_unique<ThreadWorld>(process, all, rank, deadlines));
  return worlds;
}

}  // namespace

std::vector<std::unique_ptr<World>> thread_worlds(int ranks, Deadlines deadlines, Say say) {
  return worlds_of(ranks, deadlines, [say = std::move(say)](const Ending& ending) {
    if (!ending.why.empty()) say(ending.why);
  });
}

std::unique_ptr<World> lone_world(Deadlines deadlines, Departure& departure) {
  const auto end = [&departure](const Ending& ending) {
    if (!ending.why.empty()) departure.say(ending.why);
    departure.within(kUnwindTime, {ending.exit_code, ""});
  };
  return std::move(worlds_of(1, deadlines, end).front());
}

}  // namespace flux
