#include "runtime/gather_times.h"

#include <algorithm>
#include <numeric>

#include "runtime/moments.h"

namespace flux {

Gathers timed_gathers(Communicator& group, at::Device device, const std::vector<int64_t>& bytes, int64_t repetitions) {
  constexpr int64_t warm_up = 2;
  const int64_t total = std::accumulate(bytes.begin(), bytes.end(), int64_t{0});
  const at::Tensor all = group.buffer({total}, at::dtype(at::kByte).device(device));
  all.zero_();
  Moments moments(device);
  for (int64_t i = 0; i < warm_up + repetitions; ++i) {
    if (i == warm_up) moments.mark();
    group.all_gather(all, bytes).wait();
    if (i >= warm_up) moments.mark();
  }
  return {moments.between(), group.carrier(all)};
}

std::vector<int64_t> even_bytes(int64_t bytes, int ranks) {
  return std::vector<int64_t>(static_cast<size_t>(ranks), std::max<int64_t>(1, bytes / ranks));
}

}  // namespace flux
