#include "parallel/mpi/notices.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "parallel/mpi/tags.h"

namespace flux {
namespace {

// In the place of a group's tag.
constexpr int kPrinted = -1;  // the whole job, and the reason is printed
constexpr int kToPrint = -2;  // the whole job; minus the rank that is to print the reason

constexpr const char* kNoWords = "the job has ended";
constexpr std::chrono::milliseconds kGrace{1000};
constexpr std::chrono::milliseconds kLastMoment{1800};   // should the engine itself hang
constexpr std::chrono::milliseconds kSpeakersTime{500};  // a speaker that has not printed by then cannot

}  // namespace

void Notices::end_job(const Ending& ending, int speaker) {
  engine_.departure().within(kLastMoment, {ending.exit_code, ""});
  const std::lock_guard lock(gate_->mutex);
  if (!gate_->aborted.empty()) return;
  gate_->aborted = ending.why.empty() ? kNoWords : ending.why;
  exit_code_ = ending.exit_code;
  deputy_ = true;
  speaker_ = speaker;
  gate_->changed.notify_all();
  engine_.wake();
}

void Notices::abort_group(int tag, const std::vector<int>& ranks, const std::string& why) {
  const std::lock_guard lock(gate_->mutex);
  if (!ended_groups_.emplace(tag, why).second) return;
  to_send_.emplace_back(fmt::format("{} 3 {}", tag, why), ranks);
  gate_->changed.notify_all();
  engine_.wake();
}

const std::string& Notices::why(int tag) const {
  const auto group = ended_groups_.find(tag);
  return group == ended_groups_.end() ? gate_->aborted : group->second;
}

bool Notices::progress() {
  bool received = false;
  while (receive()) received = true;  // all of them: a rank that was stopped must not print what another has printed
  const bool posted = post();
  for (Letter& letter : letters_)
    for (Transfer& transfer : letter.transfers) transfer.progress();
  letters_.remove_if([](const Letter& letter) {
    return std::all_of(letter.transfers.begin(), letter.transfers.end(),
                       [](const Transfer& t) { return t.finished(); });
  });
  if (Clock::now() >= end_) {
    engine_.departure().put_in_order();
    MPI_Abort(MPI_COMM_WORLD, exit_code_);
  }
  return received || posted;
}

bool Notices::receive() {
  int found = 0;
  MPI_Message message;
  MPI_Status status;
  check_mpi(MPI_Improbe(MPI_ANY_SOURCE, kNoticeTag, engine_.control(), &found, &message, &status), "MPI_Improbe",
            MPI_ANY_SOURCE);
  if (!found) return false;
  int size = 0;
  MPI_Get_count(&status, MPI_BYTE, &size);
  std::string text(size, '\0');
  check_mpi(MPI_Mrecv(text.data(), size, MPI_BYTE, &message, &status), "MPI_Mrecv", status.MPI_SOURCE);
  int tag = 0, exit_code = 3;
  const char* end = text.data() + text.size();
  const char* rest = std::from_chars(text.data(), end, tag).ptr + 1;
  rest = std::from_chars(rest, end, exit_code).ptr + 1;
  const std::string why(rest, end);

  const std::lock_guard lock(gate_->mutex);
  if (tag >= 0) {
    ended_groups_.emplace(tag, why);
  } else {
    if (gate_->aborted.empty()) {
      gate_->aborted = why;
      exit_code_ = exit_code;
      engine_.departure().within(kLastMoment, {exit_code, ""});
      if (tag <= kToPrint) speaker_ = kToPrint - tag;
    } else if (tag <= kToPrint && status.MPI_SOURCE < engine_.rank()) {
      deputy_ = false;
    }
    if (tag == kPrinted) printed_ = true;
  }
  gate_->changed.notify_all();
  return true;
}

/// Sends what is to be sent, and starts the end of the job when its reason has come to be known.
bool Notices::post() {
  std::vector<std::pair<std::string, std::vector<int>>> notices;
  {
    const std::lock_guard lock(gate_->mutex);
    if (!gate_->aborted.empty() && end_ == Clock::time_point::max()) {
      end_ = Clock::now() + kGrace;
      if (engine_.rank() == speaker_)
        print();
      else if (deputy_)
        tell_everybody(kToPrint - speaker_);
    }
    if (deputy_ && Clock::now() >= end_ - kGrace + kSpeakersTime) print();
    notices.swap(to_send_);
  }
  for (const auto& [text, ranks] : notices) tell(text, ranks);
  return !notices.empty();
}

void Notices::print() {
  if (printed_) return;
  if (gate_->aborted != kNoWords) engine_.departure().say(gate_->aborted);
  printed_ = true;
  tell_everybody(kPrinted);
}

void Notices::tell_everybody(int tag) {
  std::vector<int> everybody(engine_.size());
  std::iota(everybody.begin(), everybody.end(), 0);
  to_send_.emplace_back(fmt::format("{} {} {}", tag, exit_code_, gate_->aborted), everybody);
}

void Notices::tell(const std::string& text, const std::vector<int>& ranks) {
  Letter& letter = letters_.emplace_back(Letter{text, {}});
  for (int rank : ranks)
    if (rank != engine_.rank())
      letter.transfers.push_back(
          Transfer::sending(engine_.control(), rank, kNoticeTag, letter.text.data(), letter.text.size()));
}

}  // namespace flux
