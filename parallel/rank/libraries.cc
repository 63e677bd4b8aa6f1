#include "parallel/rank/libraries.h"

#include <ATen/Version.h>
#include <mpi.h>

#include <algorithm>
#include <array>

#include "built_with.h"

namespace flux {
namespace {

/// What libtorch itself says, not the headers: an installed program runs on the libtorch that it finds.
std::string torch_release() {
  const std::string config = at::show_config();
  const std::string key = "TORCH_VERSION=";
  const size_t begin = config.find(key);
  if (begin == std::string::npos) return "of an unknown release";
  return config.substr(begin + key.size(), config.find(',', begin) - begin - key.size());
}

/// What follows is the name of the package that Open MPI came in, or a page of how MPICH was built. Allowed before
/// MPI_Init.
std::string mpi_release() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string all(text.data(), static_cast<size_t>(length));
  std::string release = all.substr(0, all.find_first_of(",\n"));
  const std::string of_mpich = "MPICH Version:";
  if (!release.starts_with(of_mpich)) return release;
  return "MPICH " + release.substr(std::min(release.size(), release.find_first_not_of(" \t", of_mpich.size())));
}

}  // namespace

LibraryReleases library_releases() { return {cuda_releases(), torch_release(), mpi_release()}; }

#if !FLUX_CUDA
CudaReleases cuda_releases() { return {}; }
#endif

}  // namespace flux
