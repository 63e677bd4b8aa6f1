#include "parallel/mpi/group.h"

#include <ATen/Functions.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "parallel/group.h"
#include "parallel/rank/errors.h"

namespace flux {
namespace {

/// Host memory like `tensor`; for a CUDA tensor pinned, so that copies leave the host alone.
at::Tensor host_memory(const at::Tensor& tensor, at::IntArrayRef sizes) {
  return at::empty(sizes, tensor.options().device(at::kCPU).pinned_memory(tensor.is_cuda()));
}

constexpr std::chrono::milliseconds kSecondLook{500};  // by a rank that was stopped when others came

at::Tensor part(const at::Tensor& tensor, int64_t first, int64_t rows) { return tensor.narrow(0, first, rows); }

}  // namespace

MpiCommunicator::MpiCommunicator(Engine& engine, Notices& notices, std::shared_ptr<Gate> gate, std::vector<int> ranks,
                                 int tag, std::chrono::milliseconds deadline)
    : engine_(engine),
      notices_(notices),
      gate_(std::move(gate)),
      ranks_(std::move(ranks)),
      rank_(position_in(ranks_, engine.rank(), engine.size())),
      tag_(tag),
      deadline_(deadline),
      queue_(std::make_shared<OperationQueue>(engine, notices, gate_, tag)) {
  notices_.form_group(tag_, ranks_);
  engine.add(queue_);
}

/// Everybody's rows of `host` to everybody.
std::shared_ptr<Operation> MpiCommunicator::gathering(const std::string& name, const at::Tensor& host,
                                                      at::IntArrayRef rows) const {
  const auto operation = std::make_shared<Operation>();
  operation->name = name;
  operation->memory = {host};
  auto* data = static_cast<char*>(host.data_ptr());
  const std::vector<ByteRange> ranges = gathered_ranges(host, rows, size());
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank_) continue;
    operation->sends.push_back({ranks_[peer], data + ranges[rank_].offset, ranges[rank_].size});
    operation->receives.push_back({ranks_[peer], data + ranges[peer].offset, ranges[peer].size});
  }
  return operation;
}

/// To the engine, behind the copies that ATen's current stream makes from `staged_from` to the host.
void MpiCommunicator::submit(const std::shared_ptr<Operation>& operation, const at::Tensor& staged_from) {
  if (staged_from.is_cuda()) {
    const at::Device device = staged_from.device();
    operation->copied.emplace(device.type());
    operation->copied->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }
  queue_->submit(operation);
}

void MpiCommunicator::wait(const Operation& operation, std::chrono::milliseconds deadline) {
  std::unique_lock lock(gate_->mutex);
  const auto over = [&] { return operation.done || !notices_.why(tag_).empty(); };
  std::chrono::milliseconds patience = deadline;
  while (!gate_->changed.wait_for(lock, patience, over) && engine_.departure().was_stopped()) patience = kSecondLook;
  if (operation.done) return;
  if (const std::string& why = notices_.why(tag_); !why.empty())
    throw Aborted(fmt::format("{}: {}", operation.name, why));
  const std::vector<int> late(operation.unfinished.begin(), operation.unfinished.end());
  const std::string why =
      operation.on_its_way
          ? fmt::format("{} did not come within {}", rank_names(late), seconds(deadline_))
          : fmt::format("the card of rank {} did not come so far within {}", ranks_[rank_], seconds(deadline_));
  lock.unlock();
  notices_.abort_group(tag_, why);
  throw TimedOut(fmt::format("{}: {}", operation.name, why));
}

Pending MpiCommunicator::all_gather(const at::Tensor& all, at::IntArrayRef rows) {
  gathered_ranges(all, rows, size());
  if (size() == 1) return Pending([] {});
  int64_t before = 0;
  for (int rank = 0; rank < rank_; ++rank) before += rows[rank];
  const int64_t mine = rows[rank_];
  const int64_t after = all.size(0) - before - mine;

  const at::Tensor host = all.is_cpu() ? all : host_memory(all, all.sizes());
  if (!all.is_cpu()) part(host, before, mine).copy_(part(all, before, mine), true);
  const std::shared_ptr<Operation> operation = gathering("all_gather", host, rows);
  submit(operation, all);
  return Pending([=, this] {
    wait(*operation, deadline_);
    if (all.is_cpu()) return;
    const c10::InferenceMode inference;
    part(all, 0, before).copy_(part(host, 0, before), true);
    part(all, before + mine, after).copy_(part(host, before + mine, after), true);
  });
}

Pending MpiCommunicator::all_to_all(const at::Tensor& received, at::IntArrayRef received_rows, const at::Tensor& sent,
                                    at::IntArrayRef sent_rows) {
  const AllToAllRanges ranges = all_to_all_ranges(received, received_rows, sent, sent_rows, *this);
  const auto own = [&](const at::Tensor& tensor, at::IntArrayRef rows) {
    return tensor.split_with_sizes(rows)[static_cast<size_t>(rank_)];
  };
  const at::Tensor to_oneself = own(received, received_rows);
  to_oneself.copy_(own(sent, sent_rows).view(to_oneself.sizes()), true);
  if (size() == 1) return Pending([] {});
  const at::Tensor from_host = sent.is_cpu() ? sent : host_memory(sent, sent.sizes());
  const at::Tensor to_host = received.is_cpu() ? received : host_memory(received, received.sizes());
  if (!sent.is_cpu()) from_host.copy_(sent, true);
  const auto operation = std::make_shared<Operation>();
  operation->name = "all_to_all";
  operation->memory = {from_host, to_host};
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank_) continue;
    const ByteRange out = ranges.sent[peer], in = ranges.received[peer];
    operation->sends.push_back({ranks_[peer], static_cast<char*>(from_host.data_ptr()) + out.offset, out.size});
    operation->receives.push_back({ranks_[peer], static_cast<char*>(to_host.data_ptr()) + in.offset, in.size});
  }
  submit(operation, sent);
  return Pending([=, this, rows = received_rows.vec()] {
    wait(*operation, deadline_);
    if (received.is_cpu()) return;
    const c10::InferenceMode inference;
    const std::vector<at::Tensor> here = received.split_with_sizes(rows), there = to_host.split_with_sizes(rows);
    for (size_t peer = 0; peer < rows.size(); ++peer)
      if (static_cast<int>(peer) != rank_) here[peer].copy_(there[peer], true);
  });
}

Pending MpiCommunicator::broadcast(const at::Tensor& value, int root) {
  check_broadcast(value, root, size());
  if (size() == 1) return Pending([] {});
  const at::Tensor host = value.is_cpu() ? value : host_memory(value, value.sizes());
  if (rank_ == root && !value.is_cpu()) host.copy_(value, true);
  const auto operation = std::make_shared<Operation>();
  operation->name = "broadcast";
  operation->memory = {host};
  auto* data = static_cast<char*>(host.data_ptr());
  if (rank_ != root) operation->receives.push_back({ranks_[root], data, host.nbytes()});
  for (int peer = 0; peer < size() && rank_ == root; ++peer)
    if (peer != root) operation->sends.push_back({ranks_[peer], data, host.nbytes()});
  submit(operation, value);
  return Pending([=, this] {
    wait(*operation, rank_ == root ? deadline_ : deadline_ + kItsTurn);
    const c10::InferenceMode inference;
    if (rank_ != root && !value.is_cpu()) value.copy_(host, true);
  });
}

Pending MpiCommunicator::reduce(const at::Tensor& value) {
  check_reduce(value);
  if (size() == 1) return Pending([] {});
  const at::Tensor parts = host_memory(value, {size(), value.numel()});
  parts[rank_].copy_(value.flatten(), true);
  const std::shared_ptr<Operation> operation = gathering("reduce", parts, std::vector<int64_t>(size(), 1));
  submit(operation, value);
  return Pending([=, this] {
    wait(*operation, deadline_);
    const c10::InferenceMode inference;
    value.copy_(largest(parts).view(value.sizes()));
  });
}

void MpiCommunicator::abort(std::string_view why) noexcept {
  notices_.abort_group(tag_, fmt::format("rank {}: {}", ranks_[rank_], why));
}

std::optional<std::string> MpiCommunicator::aborted() const {
  const std::lock_guard lock(gate_->mutex);
  const std::string& why = notices_.why(tag_);
  return why.empty() ? std::nullopt : std::optional(why);
}

}  // namespace flux
