#include "runtime/gather_times.h"

#include <algorithm>
#include <numeric>

#include "runtime/moments.h"

namespace flux {

namespace {

int64_t sum(const std::vector<int64_t>& bytes) { return std::accumulate(bytes.begin(), bytes.end(), int64_t{0}); }

template <typename Collective>
std::vector<double> timed(at::Device device, int64_t repetitions, const Collective& collective) {
  constexpr int64_t warm_up = 2;
  Moments moments(device);
  for (int64_t i = 0; i < warm_up + repetitions; ++i) {
    if (i == warm_up) moments.mark();
    collective().wait();
    if (i >= warm_up) moments.mark();
  }
  return moments.between();
}

}  // namespace

Gathers timed_gathers(Communicator& group, at::Device device, const std::vector<int64_t>& bytes, int64_t repetitions) {
  const at::Tensor all = group.buffer({sum(bytes)}, at::dtype(at::kByte).device(device));
  all.zero_();
  return {timed(device, repetitions, [&] { return group.all_gather(all, bytes); }), group.carrier(all, bytes)};
}

Gathers timed_all_to_alls(Communicator& group, at::Device device, const std::vector<int64_t>& bytes,
                          int64_t repetitions) {
  std::vector<int64_t> received_bytes = bytes;
  for (int64_t& of_rank : received_bytes) of_rank /= group.size();
  const int64_t mine = received_bytes[static_cast<size_t>(group.rank())];
  const std::vector<int64_t> sent_bytes(received_bytes.size(), mine);
  // Buffers of one size on every rank, of which all may use another part.
  const int64_t most = std::ranges::max(received_bytes) * group.size();
  const auto buffer = [&](int64_t used) {
    return group.buffer({most}, at::dtype(at::kByte).device(device)).zero_().narrow(0, 0, used);
  };
  const at::Tensor sent = buffer(sum(sent_bytes)), received = buffer(sum(received_bytes));
  const auto collective = [&] { return group.all_to_all(received, received_bytes, sent, sent_bytes); };
  return {timed(device, repetitions, collective), group.carrier(sent, sent_bytes)};
}

std::vector<int64_t> even_bytes(int64_t bytes, int ranks) {
  return std::vector<int64_t>(static_cast<size_t>(ranks), std::max<int64_t>(1, bytes / ranks));
}

}  // namespace flux
