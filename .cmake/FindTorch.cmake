# libtorch of the PyPI wheel: Torch::cpu, and with FLUX_CUDA Torch::cuda, as the target Torch::Torch.
# The wheel's own TorchConfig.cmake wants a whole CUDA toolkit, and its include folder also holds fmt, protobuf and
# nlohmann headers, which would shadow the system's: only libtorch's own headers are linked into the build tree.
set(torch_root ${FLUX_SITE_PACKAGES}/torch)
set(torch_include ${CMAKE_BINARY_DIR}/torch/include)
file(MAKE_DIRECTORY ${torch_include})
foreach(folder ATen c10 torch caffe2)
  file(CREATE_LINK ${torch_root}/include/${folder} ${torch_include}/${folder} SYMBOLIC)
endforeach()

function(torch_library name file)
  add_library(Torch::${name} SHARED IMPORTED GLOBAL)
  set_target_properties(Torch::${name} PROPERTIES IMPORTED_LOCATION ${torch_root}/lib/${file}
                        INTERFACE_LINK_LIBRARIES "${ARGN}")
endfunction()

file(STRINGS ${torch_root}/version.py version_line REGEX "^__version__")
string(REGEX MATCH "[0-9]+[.][0-9]+[.][0-9]+" Torch_VERSION "${version_line}")

add_library(Torch::Torch INTERFACE IMPORTED GLOBAL)
target_include_directories(Torch::Torch SYSTEM INTERFACE ${torch_include})
torch_library(c10 libc10.so)
torch_library(cpu libtorch_cpu.so Torch::c10)
# at::parallel_for is a template: in code that is compiled without OpenMP it is a loop. The runtime is libtorch's own, for
# a second one would have threads of its own.
target_compile_options(Torch::Torch INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fopenmp>)
target_link_libraries(Torch::Torch INTERFACE Torch::cpu ${torch_root}/lib/libgomp.so.1)
if(FLUX_CUDA)
  set(nvidia ${FLUX_SITE_PACKAGES}/nvidia)
  torch_library(c10_cuda libc10_cuda.so Torch::c10)
  torch_library(cuda libtorch_cuda.so Torch::c10_cuda)
  # Nobody names libtorch_cuda's symbols: it registers its kernels when loaded.
  target_link_libraries(Torch::Torch INTERFACE -Wl,--push-state,--no-as-needed Torch::cuda Torch::c10_cuda
                        -Wl,--pop-state ${nvidia}/cu13/lib/libcudart.so.13 ${nvidia}/cu13/lib/libcublas.so.13
                        ${nvidia}/cu13/lib/libcublasLt.so.13
                        ${nvidia}/cudnn/lib/libcudnn.so.9)
  target_include_directories(Torch::Torch SYSTEM INTERFACE ${nvidia}/cu13/include ${nvidia}/cudnn/include)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Torch REQUIRED_VARS torch_root VERSION_VAR Torch_VERSION)
