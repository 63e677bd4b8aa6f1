#include "runtime/version.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/common.h>

#include "parallel/rank/device.h"

namespace flux {

const Versions& versions() {
  static const Versions known{program_version, program_revision, library_releases(),
                              google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION), driver_release()};
  return known;
}

std::string version_text() {
  const Versions& known = versions();
  const LibraryReleases& with = known.libraries;
  const bool cuda = !with.cuda.empty();
  std::string text =
      fmt::format("flux-dist {} ({}), {}\n", known.program, known.revision, cuda ? "CUDA and CPU" : "CPU only");
  text += fmt::format("libtorch {}, {}, protobuf {}\n", with.torch, with.mpi, known.protobuf);
  if (cuda) {
    text += fmt::format("CUDA {}, cuBLAS {}, cuDNN {}, NCCL {}, {}\n", with.cuda, with.cublas, with.cudnn, with.nccl,
                        known.driver.empty() ? "no driver" : "driver " + known.driver);
  }
  return text;
}

}  // namespace flux
