#include "parallel/mpi/notices.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "parallel/mpi/tags.h"

namespace flux {
namespace {

constexpr int kJob = -1;  // in the place of a group's tag
constexpr const char* kNoWords = "the job has ended";
constexpr std::chrono::milliseconds kGrace{1000};
constexpr std::chrono::milliseconds kSpeakersTime{500};  // a speaker that has not spoken by then cannot
constexpr std::chrono::milliseconds kLastMoment{1800};   // should the engine itself hang

}  // namespace

std::vector<int> all_ranks(int size) {
  std::vector<int> ranks(static_cast<size_t>(size));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

void Notices::end_job(const Ending& ending, int speaker) {
  const std::lock_guard lock(gate_->mutex);
  if (job_) return;
  know({{kJob, ending.exit_code, speaker, engine_.rank(), ending.why.empty(), ending.about}, ending.why});
}

/// The reason that a rank has given its own callers stays; who says what, and the exit code, is agreed on.
void Notices::know(const Notice& notice) {
  if (!job_) {
    end_ = Clock::now() + kGrace;
    engine_.departure().within(kLastMoment, {notice.head.exit_code, ""});
    gate_->aborted = notice.why.empty() ? kNoWords : notice.why;
  }
  job_ = notice;
  pass_on(notice, all_ranks(engine_.size()));
}

void Notices::form_group(int tag, const std::vector<int>& ranks) {
  const std::lock_guard lock(gate_->mutex);
  Group& group = groups_[tag];
  group.ranks = ranks;
  if (!group.why.empty()) pass_on({{tag, 0, 0, 0, false, -1}, group.why}, ranks);
}

void Notices::abort_group(int tag, const std::string& why) {
  const std::lock_guard lock(gate_->mutex);
  end_group(tag, why);
}

void Notices::end_group(int tag, const std::string& why) {
  Group& group = groups_[tag];
  if (!group.why.empty()) return;
  group.why = why;
  pass_on({{tag, 0, 0, 0, false, -1}, why}, group.ranks);
  gate_->changed.notify_all();
}

const std::string& Notices::why(int tag) const {
  const auto group = groups_.find(tag);
  return group == groups_.end() || group->second.why.empty() ? gate_->aborted : group->second.why;
}

bool Notices::progress() {
  bool moved = false;
  while (find()) moved = true;  // all of them: a rank that was stopped must not say what another has said
  moved |= receive();
  std::optional<int> exit_code;
  {
    const std::lock_guard lock(gate_->mutex);
    if (job_) say_in_turn();
    if (Clock::now() >= end_) exit_code = job_->head.exit_code;
  }
  moved |= send();
  if (exit_code) engine_.end_all(*exit_code);
  return moved;
}

bool Notices::ends_the_job() const {
  const std::lock_guard lock(gate_->mutex);
  return job_.has_value();
}

bool Notices::find() {
  int found = 0;
  MPI_Message message;
  MPI_Status status;
  check_mpi(MPI_Improbe(MPI_ANY_SOURCE, kNoticeTag, engine_.control(), &found, &message, &status), "MPI_Improbe",
            MPI_ANY_SOURCE);
  if (!found) return false;
  int size = 0;
  check_mpi(MPI_Get_count(&status, MPI_BYTE, &size), "MPI_Get_count", status.MPI_SOURCE);
  Arriving& notice = arriving_.emplace_back(Arriving{status.MPI_SOURCE, std::string(static_cast<size_t>(size), '\0')});
  check_mpi(MPI_Imrecv(notice.bytes.data(), size, MPI_BYTE, &message, &notice.request), "MPI_Imrecv", notice.from);
  return true;
}

bool Notices::receive() {
  bool moved = false;
  for (auto notice = arriving_.begin(); notice != arriving_.end();) {
    int arrived = 0;
    check_mpi(MPI_Test(&notice->request, &arrived, MPI_STATUS_IGNORE), "MPI_Imrecv", notice->from);
    if (!arrived) {
      ++notice;
      continue;
    }
    Notice taken;
    std::memcpy(&taken.head, notice->bytes.data(), sizeof(Head));
    taken.why = notice->bytes.substr(sizeof(Head));
    notice = arriving_.erase(notice);
    moved = true;
    const std::lock_guard lock(gate_->mutex);
    take(taken);
  }
  return moved;
}

void Notices::take(const Notice& notice) {
  if (notice.head.tag != kJob) return end_group(notice.head.tag, notice.why);
  const bool counts = !job_ || (notice.head.said && !job_->head.said) ||
                      (notice.head.said == job_->head.said && notice.head.noticed_by < job_->head.noticed_by);
  if (counts) know(notice);
}

/// Once for the job: at once by the speaker, or later by the lowest rank that noticed.
void Notices::say_in_turn() {
  const Head& head = job_->head;
  const bool speaker = engine_.rank() == head.speaker;
  const bool deputy = engine_.rank() == head.noticed_by && Clock::now() >= end_ - kGrace + kSpeakersTime;
  if (head.said || (!speaker && !deputy)) return;
  engine_.departure().say(job_->why + engine_.departure().work_of(head.about));
  Notice said = *job_;
  said.head.said = true;
  know(said);
}

void Notices::pass_on(const Notice& notice, const std::vector<int>& ranks) {
  std::string bytes(sizeof(Head), '\0');
  std::memcpy(bytes.data(), &notice.head, sizeof(Head));
  std::vector<int> next;
  const size_t mine = static_cast<size_t>(std::find(ranks.begin(), ranks.end(), engine_.rank()) - ranks.begin());
  for (size_t distance = 1; distance < ranks.size(); distance *= 2)
    next.push_back(ranks[(mine + distance) % ranks.size()]);
  to_send_.emplace_back(bytes + notice.why, std::move(next));
  gate_->changed.notify_all();
  engine_.wake();
}

bool Notices::send() {
  std::vector<std::pair<std::string, std::vector<int>>> notices;
  {
    const std::lock_guard lock(gate_->mutex);
    notices.swap(to_send_);
  }
  for (auto& [bytes, ranks] : notices) {
    Leaving& notice = leaving_.emplace_back(Leaving{std::move(bytes), {}});
    for (int rank : ranks)
      notice.transfers.push_back(Transfer::message(engine_.control(), rank, kNoticeTag, notice.bytes));
  }
  for (Leaving& notice : leaving_)
    for (Transfer& transfer : notice.transfers) transfer.progress();
  leaving_.remove_if([](const Leaving& notice) { return all_finished(notice.transfers); });
  return !notices.empty();
}

}  // namespace flux
