# `cmake --install` copies the binary and LibTorch; the run path to it is relative, so that the folder may move. Libraries of
# the cluster's modules (MPI, HDF5 …) are found where they were linked.
set_target_properties(rankwise PROPERTIES
  INSTALL_RPATH "$ORIGIN/../lib/rankwise"
  INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS rankwise RUNTIME DESTINATION bin)
file(GLOB libtorch_libraries CONFIGURE_DEPENDS ${LIBTORCH_DIR}/lib/*.so*)
install(FILES ${libtorch_libraries} DESTINATION lib/rankwise)
