#include "built_with.h"
#include "parallel/nccl/group.h"
#include "parallel/rank/errors.h"

#if !FLUX_CUDA
namespace flux {

std::unique_ptr<Communicator> nccl_group(std::unique_ptr<HostGroup>, at::Device, Deadlines) {
  throw Invalid("--transport nccl: this program was built without NCCL; build it with -DFLUX_CUDA=ON");
}

}  // namespace flux
#endif
