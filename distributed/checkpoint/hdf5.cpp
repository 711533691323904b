// The one lock of HDF5, opening, and texts.
#include "distributed/checkpoint/hdf5.h"

namespace rankwise {

std::unique_lock<std::mutex> hdf5_lock() {
  static std::mutex mutex;  // global, as the library's own state is
  std::unique_lock lock(mutex);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  return lock;
}

Handle utf8_names(hid_t of_class) {
  Handle list(H5Pcreate(of_class), H5Pclose, "making a property list");
  checked(H5Pset_char_encoding(list, H5T_CSET_UTF8), "setting the encoding of names");
  return list;
}

Handle open_hdf5(const std::filesystem::path& file) {
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "making a property list");
  checked(H5Pset_file_locking(access, false, true), "turning file locking off");
  return {H5Fopen(file.c_str(), H5F_ACC_RDONLY, access), H5Fclose, "opening the file"};
}

void write_text(hid_t object, const std::string& name, const std::string& text) {
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "making a text's type");
  checked(H5Tset_size(type, text.size() + 1), "sizing a text's type");
  checked(H5Tset_cset(type, H5T_CSET_UTF8), "setting a text's encoding");
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose, "making a text's space");
  const Handle names = utf8_names(H5P_ATTRIBUTE_CREATE);
  const Handle attribute(H5Acreate2(object, name.c_str(), type, space, names, H5P_DEFAULT),
                         H5Aclose, "making an attribute");
  checked(H5Awrite(attribute, type, text.c_str()), "writing an attribute");
}

std::string read_text(hid_t object, const std::string& name) {
  constexpr const char* kReading = "reading an attribute that is one text of fixed length";
  const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose,
                         "opening an attribute");
  const Handle type(H5Aget_type(attribute), H5Tclose, kReading);
  const Handle space(H5Aget_space(attribute), H5Sclose, kReading);
  const size_t size = H5Tget_size(type);
  if (H5Tget_class(type) != H5T_STRING || checked(H5Tis_variable_str(type), kReading) ||
      H5Sget_simple_extent_npoints(space) != 1 || size < 1 ||
      size > checked(H5Aget_storage_size(attribute), kReading))
    throw Hdf5Failure{kReading};
  std::string text(size, '\0');
  checked(H5Aread(attribute, type, text.data()), kReading);
  text.pop_back();  // the zero
  return text;
}

}  // namespace rankwise
