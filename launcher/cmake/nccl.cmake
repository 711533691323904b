# NCCL's backend: compiled wherever the headers of CUDA's runtime and of NCCL are found, else left out and said so. The
# libraries are opened when the program runs (distributed/comm/nccl.cpp): one binary for machines with and without GPUs.
# Looked for in $CUDA_HOME, /usr/local/cuda and CMAKE_PREFIX_PATH; the wheels nvidia-nccl-cu13 and nvidia-cuda-runtime
# do: -DCMAKE_PREFIX_PATH="<site-packages>/nvidia/nccl;<site-packages>/nvidia/cu13".
set(cuda_hints $ENV{CUDA_HOME} $ENV{CUDA_PATH} $ENV{NCCL_HOME} /usr/local/cuda ${LIBTORCH_DIR}/nvidia/nccl ${LIBTORCH_DIR}/nvidia/cu13)
find_path(CUDART_INCLUDE_DIR cuda_runtime_api.h HINTS ${cuda_hints} PATH_SUFFIXES include)
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${cuda_hints} PATH_SUFFIXES include)
find_library(CUDART_LIBRARY NAMES libcudart.so.13 libcudart.so.12 cudart HINTS ${cuda_hints} PATH_SUFFIXES lib lib64)
find_library(NCCL_LIBRARY NAMES libnccl.so.2 nccl HINTS ${cuda_hints} PATH_SUFFIXES lib lib64)
set(missing)
foreach(part CUDART_INCLUDE_DIR NCCL_INCLUDE_DIR CUDART_LIBRARY NCCL_LIBRARY)
  if(NOT ${part})
    list(APPEND missing ${part})
  endif()
endforeach()

if(missing)
  option(RANKWISE_CUDA "build the NCCL backend" OFF)
else()
  option(RANKWISE_CUDA "build the NCCL backend" ON)
endif()
if(RANKWISE_CUDA AND (NOT CUDART_INCLUDE_DIR OR NOT NCCL_INCLUDE_DIR))
  message(FATAL_ERROR "RANKWISE_CUDA is on, but not found: ${missing}")
elseif(RANKWISE_CUDA)
  message(STATUS "NCCL backend: on (${NCCL_INCLUDE_DIR}/nccl.h, ${CUDART_INCLUDE_DIR}/cuda_runtime_api.h)")
  target_sources(distributed PRIVATE distributed/comm/nccl.cpp)
  set_source_files_properties(distributed/comm/nccl.cpp PROPERTIES
    COMPILE_OPTIONS "-isystem${NCCL_INCLUDE_DIR};-isystem${CUDART_INCLUDE_DIR}")
  target_compile_definitions(distributed PUBLIC RANKWISE_WITH_NCCL)
  target_link_libraries(distributed PRIVATE ${CMAKE_DL_LIBS})
  foreach(library ${CUDART_LIBRARY} ${NCCL_LIBRARY})  # so that programs in the build folder find what was found here
    cmake_path(GET library PARENT_PATH folder)
    list(APPEND CMAKE_BUILD_RPATH ${folder})
  endforeach()
else()
  message(STATUS "NCCL backend: off (RANKWISE_CUDA=${RANKWISE_CUDA}; not found: ${missing})")
  target_sources(distributed PRIVATE distributed/comm/nccl_absent.cpp)
endif()
