#include "parallel/thread/group.h"

#include <ATen/Functions.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "parallel/group.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

std::string why_aborted(const ThreadGroup& group) {
  return group.aborted.empty() ? group.gate->aborted : group.aborted;
}

void wait_until_done(ThreadGroup& group, const Meeting& meeting, const std::string& name, Deadlines deadlines) {
  std::unique_lock lock(group.gate->mutex);
  group.gate->changed.wait_for(lock, deadlines.collective, [&] { return meeting.done || !why_aborted(group).empty(); });
  if (meeting.done) return;
  if (const std::string why = why_aborted(group); !why.empty()) throw Aborted(fmt::format("{}: {}", name, why));
  std::vector<int> missing;
  for (int rank : meeting.missing()) missing.push_back(group.ranks[rank]);
  group.aborted = fmt::format("{} did not come within {}", rank_names(missing), seconds(deadlines.collective));
  group.gate->changed.notify_all();
  throw TimedOut(fmt::format("{}: {}", name, group.aborted));
}

}  // namespace

Pending ThreadCommunicator::meet(const std::string& name, const std::string& call, const Brought& brought,
                                 const Meeting::Move& move) {
  if (size() == 1) return Pending([] {});
  std::shared_ptr<Meeting> meeting;
  bool last = false;
  {
    const std::lock_guard lock(group_->gate->mutex);
    std::shared_ptr<Meeting>& slot = group_->meetings[calls_];
    if (!slot) slot = std::make_shared<Meeting>(call, size());
    meeting = slot;
    last = meeting->arrive(rank_, call, brought);
    if (last) group_->meetings.erase(calls_);
  }
  ++calls_;
  if (last) carry_out(*meeting, move);
  return Pending([group = group_, meeting, brought, name, deadlines = deadlines_] {
    wait_until_done(*group, *meeting, name, deadlines);
    meeting->receive(brought.sent.device());
  });
}

void ThreadCommunicator::carry_out(Meeting& meeting, const Meeting::Move& move) {
  try {
    if (!meeting.disagreement().empty()) throw std::invalid_argument(meeting.disagreement());
    meeting.carry_out(move);
  } catch (const std::exception& error) {
    abort(error.what());
    throw;
  }
  const std::lock_guard lock(group_->gate->mutex);
  meeting.done = true;
  group_->gate->changed.notify_all();
}

Pending ThreadCommunicator::all_gather(const at::Tensor& all, at::IntArrayRef rows) {
  gathered_ranges(all, rows, size());
  const auto move = [rows = rows.vec()](const std::vector<Brought>& by_rank) {
    int64_t first = 0;
    for (size_t from = 0; from < by_rank.size(); first += rows[from++])
      for (size_t to = 0; to < by_rank.size(); ++to)
        if (to != from)
          by_rank[to]
              .received.narrow(0, first, rows[from])
              .copy_(by_rank[from].sent.narrow(0, first, rows[from]), true);
  };
  return meet("all_gather", fmt::format("all_gather of {} bytes, rows {}", all.nbytes(), rows.vec()), {all, all}, move);
}

Pending ThreadCommunicator::all_to_all(const at::Tensor& received, at::IntArrayRef received_rows,
                                       const at::Tensor& sent, at::IntArrayRef sent_rows) {
  all_to_all_ranges(received, received_rows, sent, sent_rows, *this);
  if (size() == 1) received.copy_(sent.view(received.sizes()));
  const auto move = [](const std::vector<Brought>& by_rank) {
    for (size_t from = 0; from < by_rank.size(); ++from) {
      const std::vector<at::Tensor> parts = by_rank[from].sent.split_with_sizes(by_rank[from].sent_rows);
      for (size_t to = 0; to < by_rank.size(); ++to) {
        const at::Tensor part = by_rank[to].received.split_with_sizes(by_rank[to].received_rows)[from];
        part.copy_(parts[to].view(part.sizes()), true);
      }
    }
  };
  return meet("all_to_all", fmt::format("all_to_all in {}", c10::toString(sent.scalar_type())),
              {sent, received, sent_rows.vec(), received_rows.vec()}, move);
}

Pending ThreadCommunicator::broadcast(const at::Tensor& value, int root) {
  check_broadcast(value, root, size());
  const auto move = [root](const std::vector<Brought>& by_rank) {
    for (size_t to = 0; to < by_rank.size(); ++to)
      if (static_cast<int>(to) != root) by_rank[to].received.copy_(by_rank[root].sent, true);
  };
  return meet("broadcast", fmt::format("broadcast of {} bytes from rank {}", value.nbytes(), root), {value, value},
              move);
}

Pending ThreadCommunicator::reduce(const at::Tensor& value) {
  check_reduce(value);
  const auto move = [](const std::vector<Brought>& by_rank) {
    std::vector<at::Tensor> parts;
    parts.reserve(by_rank.size());
    for (const Brought& part : by_rank) parts.push_back(part.sent.to(by_rank[0].sent.device()).flatten());
    const at::Tensor result = largest(at::stack(parts));
    for (const Brought& to : by_rank) to.received.copy_(result.view(to.received.sizes()), true);
  };
  return meet("reduce", fmt::format("reduce of {} bytes", value.nbytes()), {value, value}, move);
}

std::vector<std::string> ThreadCommunicator::exchange(const std::string& mine) {
  at::Tensor lengths = at::zeros({size()}, at::kLong);
  lengths[rank_] = static_cast<int64_t>(mine.size());
  all_gather(lengths, std::vector<int64_t>(size(), 1)).wait();
  const std::vector<int64_t> rows(lengths.data_ptr<int64_t>(), lengths.data_ptr<int64_t>() + size());

  at::Tensor bytes = at::empty({lengths.sum().item<int64_t>()}, at::kByte);
  const std::vector<ByteRange> ranges = gathered_ranges(bytes, rows, size());
  auto* data = static_cast<char*>(bytes.data_ptr());
  std::copy(mine.begin(), mine.end(), data + ranges[rank_].offset);
  all_gather(bytes, rows).wait();
  std::vector<std::string> all;
  all.reserve(ranges.size());
  for (const ByteRange& range : ranges) all.emplace_back(data + range.offset, range.size);
  return all;
}

void ThreadCommunicator::abort(std::string_view why) noexcept {
  const std::lock_guard lock(group_->gate->mutex);
  if (group_->aborted.empty()) group_->aborted = fmt::format("rank {}: {}", group_->ranks[rank_], why);
  group_->gate->changed.notify_all();
}

std::optional<std::string> ThreadCommunicator::aborted() const {
  const std::lock_guard lock(group_->gate->mutex);
  const std::string why = why_aborted(*group_);
  return why.empty() ? std::nullopt : std::optional(why);
}

}  // namespace flux
