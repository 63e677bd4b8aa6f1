#include "parallel/mpi/notices.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <numeric>

#include "parallel/mpi/tags.h"

namespace flux {
namespace {

// In the place of a group's tag.
constexpr int kPrinted = -1;  // the whole job, and the reason is printed
constexpr int kToPrint = -2;  // the whole job; minus the rank that is to print the reason

constexpr int kExitCode = 3;
constexpr std::chrono::milliseconds kGrace{1000};
constexpr std::chrono::milliseconds kSpeakersTime{500};  // a speaker that has not printed by then cannot

}  // namespace

void Notices::abort_job(const std::string& why, int speaker) {
  const std::lock_guard lock(gate_->mutex);
  if (!gate_->aborted.empty()) return;
  gate_->aborted = why;
  deputy_ = true;
  speaker_ = speaker;
  gate_->changed.notify_all();
  engine_.wake();
}

void Notices::abort_group(int tag, const std::vector<int>& ranks, const std::string& why) {
  const std::lock_guard lock(gate_->mutex);
  if (!ended_groups_.emplace(tag, why).second) return;
  to_send_.emplace_back(fmt::format("{} {}", tag, why), ranks);
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
  if (Clock::now() >= end_) MPI_Abort(MPI_COMM_WORLD, kExitCode);
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
  const size_t space = text.find(' ');
  int tag = 0;
  std::from_chars(text.data(), text.data() + space, tag);

  const std::lock_guard lock(gate_->mutex);
  if (tag >= 0) {
    ended_groups_.emplace(tag, text.substr(space + 1));
  } else {
    if (gate_->aborted.empty()) {
      gate_->aborted = text.substr(space + 1);
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
  std::fprintf(stderr, "%s\n", gate_->aborted.c_str());
  printed_ = true;
  tell_everybody(kPrinted);
}

void Notices::tell_everybody(int tag) {
  std::vector<int> everybody(engine_.size());
  std::iota(everybody.begin(), everybody.end(), 0);
  to_send_.emplace_back(fmt::format("{} {}", tag, gate_->aborted), everybody);
}

void Notices::tell(const std::string& text, const std::vector<int>& ranks) {
  Letter& letter = letters_.emplace_back(Letter{text, {}});
  for (int rank : ranks)
    if (rank != engine_.rank())
      letter.transfers.push_back(
          Transfer::sending(engine_.control(), rank, kNoticeTag, letter.text.data(), letter.text.size()));
}

}  // namespace flux
