# LibTorch's libraries and headers, linked directly: its own CMake config insists on a CUDA compiler.
# Looked for in ./.libtorch (made by launcher/setup) or in -DLIBTORCH_DIR=<folder with include/ and lib/>.
set(LIBTORCH_DIR ${CMAKE_SOURCE_DIR}/.libtorch CACHE PATH "folder with LibTorch's include/ and lib/")
find_library(TORCH_CPU_LIBRARY torch_cpu HINTS ${LIBTORCH_DIR}/lib NO_DEFAULT_PATH)
find_library(C10_LIBRARY c10 HINTS ${LIBTORCH_DIR}/lib NO_DEFAULT_PATH)
if(NOT TORCH_CPU_LIBRARY OR NOT C10_LIBRARY)
  message(FATAL_ERROR "LibTorch is not in ${LIBTORCH_DIR}: run ./launcher/setup, or pass -DLIBTORCH_DIR=<folder with include/ and lib/>")
endif()
add_library(LibTorch::LibTorch INTERFACE IMPORTED)
target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE
  ${LIBTORCH_DIR}/include ${LIBTORCH_DIR}/include/torch/csrc/api/include)
target_link_libraries(LibTorch::LibTorch INTERFACE ${TORCH_CPU_LIBRARY} ${C10_LIBRARY})
if(EXISTS ${LIBTORCH_DIR}/include/fmt)  # not in what launcher/setup makes; its headers fit no installed libfmt
  target_compile_definitions(LibTorch::LibTorch INTERFACE FMT_HEADER_ONLY)
endif()
# libtorch_cpu names CUDA's runtime and profiler libraries, which lie beside it.
target_link_options(LibTorch::LibTorch INTERFACE -Wl,--unresolved-symbols=ignore-in-shared-libs)
list(APPEND CMAKE_BUILD_RPATH ${LIBTORCH_DIR}/lib)
# One OpenMP in the process: LibTorch's, where it brings one (it has GCC's name and is newer).
if(EXISTS ${LIBTORCH_DIR}/lib/libgomp.so.1 AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(OpenMP_gomp_LIBRARY ${LIBTORCH_DIR}/lib/libgomp.so.1 CACHE FILEPATH "OpenMP's library")
endif()
