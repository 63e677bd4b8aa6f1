#include <algorithm>
#include <cstring>

#include "parallel/group.h"
#include "parallel/mpi/group.h"

// Strings by way of the lowest rank, so that N ranks cost a few N messages. It alone knows who is late: the
// others take it for late only where it has not come itself.
namespace flux {
namespace {

std::shared_ptr<Operation> exchanging(const at::Tensor& memory) {
  const auto operation = std::make_shared<Operation>();
  operation->name = "exchange";
  operation->memory = {memory};
  return operation;
}

at::Tensor bytes(int64_t count) { return at::empty({count}, at::kByte); }
char* data(const at::Tensor& tensor) { return static_cast<char*>(tensor.data_ptr()); }

std::vector<int64_t> values(const at::Tensor& lengths) {
  return {lengths.data_ptr<int64_t>(), lengths.data_ptr<int64_t>() + lengths.numel()};
}

std::vector<std::string> cut(const at::Tensor& all, const std::vector<int64_t>& lengths) {
  std::vector<std::string> strings;
  const char* next = data(all);
  for (int64_t length : lengths) {
    strings.emplace_back(next, static_cast<size_t>(length));
    next += length;
  }
  return strings;
}

}  // namespace

std::vector<std::string> MpiCommunicator::exchange(const std::string& mine) {
  if (size() == 1) return {mine};
  return *std::min_element(ranks_.begin(), ranks_.end()) == ranks_[rank_] ? collect(mine) : contribute(mine);
}

/// Positions.
std::vector<int> MpiCommunicator::others() const {
  std::vector<int> positions;
  for (int peer = 0; peer < size(); ++peer)
    if (peer != rank_) positions.push_back(peer);
  return positions;
}

std::vector<std::string> MpiCommunicator::collect(const std::string& mine) {
  const auto run = [this](const std::shared_ptr<Operation>& operation) {
    queue_->submit(operation);
    wait(*operation, deadline_);
  };
  const at::Tensor lengths = at::zeros({size()}, at::kLong);
  const auto hear = exchanging(lengths);
  auto* length = lengths.data_ptr<int64_t>();
  length[rank_] = static_cast<int64_t>(mine.size());
  for (int peer : others()) {
    hear->sends.push_back({ranks_[peer], nullptr, 0});  // this rank has come
    hear->receives.push_back({ranks_[peer], reinterpret_cast<char*>(length + peer), sizeof(int64_t)});
  }
  run(hear);

  const at::Tensor all = bytes(lengths.sum().item<int64_t>());
  const std::vector<ByteRange> ranges = gathered_ranges(all, values(lengths), size());
  mine.copy(data(all) + ranges[rank_].offset, mine.size());
  const auto read = exchanging(all);
  for (int peer : others())
    read->receives.push_back({ranks_[peer], data(all) + ranges[peer].offset, ranges[peer].size});
  run(read);

  const auto tell = exchanging(all);
  tell->memory.push_back(lengths);
  for (int peer : others()) {
    tell->sends.push_back({ranks_[peer], data(lengths), lengths.nbytes()});
    tell->sends.push_back({ranks_[peer], data(all), all.nbytes()});
  }
  run(tell);
  return cut(all, values(lengths));
}

std::vector<std::string> MpiCommunicator::contribute(const std::string& mine) {
  const int lowest = *std::min_element(ranks_.begin(), ranks_.end());
  const at::Tensor message = bytes(static_cast<int64_t>(sizeof(int64_t) + mine.size()));
  const auto length = static_cast<int64_t>(mine.size());
  std::memcpy(data(message), &length, sizeof(length));
  mine.copy(data(message) + sizeof(length), mine.size());
  const auto come = exchanging(message);
  come->sends.push_back({lowest, data(message), sizeof(length)});
  come->receives.push_back({lowest, nullptr, 0});
  const auto give = exchanging(message);
  give->sends.push_back({lowest, data(message) + sizeof(length), mine.size()});
  const at::Tensor lengths = at::zeros({size()}, at::kLong);
  const auto hear = exchanging(lengths);
  hear->receives.push_back({lowest, data(lengths), lengths.nbytes()});
  for (const auto& operation : {come, give, hear}) queue_->submit(operation);
  wait(*come, deadline_);
  wait(*hear, deadline_ + kItsTurn);

  const at::Tensor all = bytes(lengths.sum().item<int64_t>());
  const auto read = exchanging(all);
  read->receives.push_back({lowest, data(all), all.nbytes()});
  queue_->submit(read);
  wait(*read, deadline_);
  return cut(all, values(lengths));
}

}  // namespace flux
