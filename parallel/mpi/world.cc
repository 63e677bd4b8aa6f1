#include "parallel/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "parallel/group.h"
#include "parallel/mpi/group.h"
#include "parallel/mpi/mailbox.h"
#include "parallel/mpi/notices.h"
#include "parallel/mpi/peers.h"
#include "parallel/mpi/tags.h"
#include "parallel/nccl/group.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

class MpiWorld final : public World {
 public:
  MpiWorld(Deadlines deadlines, Departure& departure);
  ~MpiWorld() override;

  int rank() const override { return engine_.rank(); }
  int size() const override { return engine_.size(); }
  Mailbox& mailbox() override { return mailbox_; }
  std::vector<std::string> exchange(const std::string& mine) override { return everybody_.exchange(mine); }
  std::unique_ptr<Communicator> group(const std::vector<int>& ranks, Transport transport, at::Device device) override;
  void end(const Ending& ending) noexcept override { notices_->end_job(ending); }
  void leave() override;

 private:
  std::unique_ptr<HostGroup> host_group(const std::vector<int>& ranks);

  Deadlines deadlines_;
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  Engine engine_;
  std::shared_ptr<Notices> notices_;
  MpiMailbox mailbox_;
  MpiCommunicator everybody_;
  int next_tag_ = kFirstGroupTag;
  bool left_ = false;
};

MpiWorld::MpiWorld(Deadlines deadlines, Departure& departure)
    : deadlines_(deadlines),
      engine_(departure, deadlines, [this](const std::string& why) { abort(why); }),
      notices_(std::make_shared<Notices>(engine_, gate_)),
      mailbox_(engine_, gate_, deadlines.collective),
      everybody_(engine_, *notices_, gate_, all_ranks(engine_.size()), kWorldTag, deadlines.startup) {
  engine_.add(notices_);
  engine_.add(std::make_shared<Peers>(engine_, *notices_));
  departure.ends_with([this](const Ending& ending) { end(ending); });
}

MpiWorld::~MpiWorld() {
  if (!left_) abort("left without the others");
  engine_.departure().ends_with(nullptr);
  engine_.part();
}

/// Until the last has come here, messages of this one may still be on their way.
void MpiWorld::leave() {
  try {
    MpiCommunicator leaving(engine_, *notices_, gate_, all_ranks(size()), kLeavingTag, deadlines_.collective);
    leaving.exchange("");
    left_ = true;
  } catch (const std::exception& error) {
    abort(fmt::format("leaving: {}", error.what()));
    throw;
  }
}

std::unique_ptr<HostGroup> MpiWorld::host_group(const std::vector<int>& ranks) {
  // The members agree on a tag that none of them has used.
  MpiCommunicator forming(engine_, *notices_, gate_, ranks, kFormingTag, deadlines_.startup);
  const std::string members = fmt::format("{}", fmt::join(ranks, ","));
  for (const std::string& theirs : forming.exchange(fmt::format("{} {}", next_tag_, members))) {
    const size_t space = theirs.find(' ');
    if (theirs.substr(space + 1) != members)
      throw std::invalid_argument(
          fmt::format("group: some rank forms {}, this one {}", theirs.substr(space + 1), members));
    next_tag_ = std::max(next_tag_, std::stoi(theirs.substr(0, space)));
  }
  return std::make_unique<MpiCommunicator>(engine_, *notices_, gate_, ranks, next_tag_++, deadlines_.collective);
}

std::unique_ptr<Communicator> MpiWorld::group(const std::vector<int>& ranks, Transport transport, at::Device device) {
  switch (transport) {
    case Transport::mpi:
      return host_group(ranks);
    case Transport::nccl:
      return nccl_group(host_group(ranks), device, deadlines_);
    case Transport::thread:
      break;
  }
  throw Invalid("transport thread: these ranks are processes; use --transport mpi or nccl");
}

}  // namespace

std::unique_ptr<World> mpi_world(Deadlines deadlines, Departure& departure) {
  return std::make_unique<MpiWorld>(deadlines, departure);
}

}  // namespace flux
