// The one lock of HDF5.
#include "distributed/checkpoint/hdf5.h"

namespace rankwise {

std::unique_lock<std::mutex> hdf5_lock() {
  static std::mutex mutex;  // global, as the library's own state is
  std::unique_lock lock(mutex);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  return lock;
}

}  // namespace rankwise
