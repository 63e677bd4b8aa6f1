# NCCL of the PyPI wheel, the one that libtorch_cuda loads: NCCL::NCCL.
set(nccl_root ${FLUX_SITE_PACKAGES}/nvidia/nccl)
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${nccl_root}/include NO_DEFAULT_PATH)
find_file(NCCL_LIBRARY libnccl.so.2 HINTS ${nccl_root}/lib NO_DEFAULT_PATH)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(NCCL REQUIRED_VARS NCCL_LIBRARY NCCL_INCLUDE_DIR)
if(NCCL_FOUND)
  add_library(NCCL::NCCL SHARED IMPORTED GLOBAL)
  set_target_properties(NCCL::NCCL PROPERTIES IMPORTED_LOCATION ${NCCL_LIBRARY}
                        INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${NCCL_INCLUDE_DIR}
                        INTERFACE_INCLUDE_DIRECTORIES ${NCCL_INCLUDE_DIR})
endif()
