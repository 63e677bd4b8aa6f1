#pragma once

#include <string>

namespace flux {

/// Releases of the libraries that CUDA brings, as this process has loaded them; empty where CUDA was not compiled in.
struct CudaReleases {
  std::string cuda;    // 13.0
  std::string cublas;  // 13.1.0
  std::string cudnn;   // 9.19.0
  std::string nccl;    // 2.28.9
};
CudaReleases cuda_releases();

/// Of all the libraries whose release may change a picture or how ranks talk.
struct LibraryReleases : CudaReleases {
  std::string torch;  // 2.11.0
  std::string mpi;    // Open MPI v4.1.4, MPICH 4.0.2
};
LibraryReleases library_releases();

}  // namespace flux
