// An HDF5 file → State, or an Error that says what is wrong with it. The file may be cut off,
// damaged or hostile: sizes are held against the file's own before anything is allocated, and only
// what to_hdf5 writes is taken: fixed-length texts and contiguous datasets inside this file. No
// filters, external files, virtual datasets or soft links.
#include <ATen/ops/empty.h>

#include <algorithm>
#include <fstream>

#include "distributed/checkpoint/state.h"
#include "distributed/checkpoint/state_format.h"
#include "distributed/core/error.h"

namespace rankwise {
namespace {

using Names = std::vector<std::string>;

// Called by C code: nothing may be thrown through it.
herr_t note_dataset(hid_t, const char* name, const H5O_info_t* info, void* names) try {
  if (info->type == H5O_TYPE_DATASET) static_cast<Names*>(names)->emplace_back(name);
  return 0;
} catch (...) {
  return -1;
}

herr_t note_attribute(hid_t, const char* name, const H5A_info_t*, void* names) try {
  static_cast<Names*>(names)->emplace_back(name);
  return 0;
} catch (...) {
  return -1;
}

class Reader {
 public:
  // file_bytes: of the HDF5 file, without its seal.
  Reader(const std::filesystem::path& path, uint64_t file_bytes)
      : path_(path), unread_bytes_(file_bytes), file_(open(path)) {}

  State state() {
    State state;
    std::string checksum;
    Texts checksums;
    try {
      Names names;
      checked(H5Aiterate2(file_, H5_INDEX_NAME, H5_ITER_INC, nullptr, note_attribute, &names),
              "listing attributes");
      for (const std::string& name : names) {
        place_ = fmt::format("attribute '{}'", name);
        std::string text = read_text(file_, name);
        (name == kChecksumName ? checksum : state.attributes[name]) = std::move(text);
      }
      place_ = "the root group";
      names.clear();
      checked(H5Ovisit(file_, H5_INDEX_NAME, H5_ITER_INC, note_dataset, &names),
              "listing datasets");
      for (const std::string& name : names) {
        place_ = fmt::format("dataset '{}'", name);
        read_dataset(name, state, checksums);
      }
    } catch (const Hdf5Failure& failure) {
      throw bad("{} failed", failure.doing);
    }
    place_ = "the root group";
    if (checksum.empty()) throw bad("no checksum");
    state.attributes.erase(kChecksumName);
    if (checksum != root_checksum(state.attributes, checksums)) {
      throw bad("attributes or the list of datasets are not those that were written");
    }
    return state;
  }

 private:
  template <class... Args>
  Error bad(fmt::format_string<Args...> text, Args&&... args) const {
    return model_error("{}: {}: {}", path_.string(), place_,
                       fmt::format(text, std::forward<Args>(args)...));
  }

  static Handle open(const std::filesystem::path& path) {
    try {
      return open_hdf5(path);
    } catch (const Hdf5Failure& failure) {
      throw model_error("{}: no whole HDF5 file ({} failed)", path.string(), failure.doing);
    }
  }

  std::vector<int64_t> read_shape(hid_t dataset, size_t element_bytes) {
    const Handle space(H5Dget_space(dataset), H5Sclose, "reading the shape");
    if (checked(H5Sget_simple_extent_type(space), "reading the shape") == H5S_NULL)
      throw bad("has no shape");
    std::vector<hsize_t> dims(checked(H5Sget_simple_extent_ndims(space), "reading the shape"));
    checked(H5Sget_simple_extent_dims(space, dims.data(), nullptr), "reading the shape");
    const uint64_t most = unread_bytes_ / element_bytes;
    uint64_t elements = 1;
    for (const hsize_t dim : dims) {
      if (dim > most || (dim > 0 && elements > most / dim)) {
        throw bad("shape [{}] is larger than what is left of the file", fmt::join(dims, ", "));
      }
      elements *= dim;
    }
    unread_bytes_ -= elements * element_bytes;
    return {dims.begin(), dims.end()};
  }

  StoredType read_type(hid_t dataset, const std::string& dtype) const {
    const Handle type(H5Dget_type(dataset), H5Tclose, "reading the type");
    for (const StoredType& stored : stored_types()) {
      if (dtype == stored.name && checked(H5Tequal(type, stored.hdf5), "comparing types"))
        return stored;
    }
    throw bad("is not stored as its dtype '{}' should be", dtype);
  }

  void check_layout(hid_t dataset) const {
    const Handle creation(H5Dget_create_plist(dataset), H5Pclose, "reading the layout");
    if (H5Pget_layout(creation) != H5D_CONTIGUOUS || H5Pget_external_count(creation) != 0) {
      throw bad("is not stored in one piece inside the file");
    }
  }

  void read_dataset(const std::string& name, State& state, Texts& checksums) {
    const Handle dataset(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), H5Dclose, "opening");
    check_layout(dataset);
    const std::string dtype = read_text(dataset, kDtypeName);
    const StoredType type = read_type(dataset, dtype);
    const auto shape = read_shape(dataset, c10::elementSize(type.type));
    at::Tensor values = at::empty(shape, type.type);
    checked(H5Dread(dataset, type.hdf5, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data_ptr()),
            "reading");
    std::string comment;
    if (checked(H5Aexists(dataset, kCommentName), "looking for a comment")) {
      comment = state.comments[name] = read_text(dataset, kCommentName);
    }
    checksums[name] =
        dataset_checksum(name, dtype, shape, comment,
                         {static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
    const std::string stored = read_text(dataset, kChecksumName);
    if (checksums[name] != stored) {
      throw bad("checksum is {}, but {} was written", checksums[name], stored);
    }
    state.tensors[name] = std::move(values);
  }

  std::filesystem::path path_;
  uint64_t unread_bytes_;  // datasets share no bytes, so together they fit in the file
  Handle file_;
  std::string place_ = "the root group";
};

std::string bytes_of(const std::filesystem::path& path) {
  std::error_code error;
  const bool regular = std::filesystem::is_regular_file(path, error);
  if (error) throw model_error("{}: cannot be read: {}", path.string(), error.message());
  if (!regular) throw model_error("{}: not a file", path.string());
  std::ifstream file(path, std::ios::binary);
  std::string bytes(std::filesystem::file_size(path), '\0');
  if (!file.read(bytes.data(), std::ssize(bytes)))
    throw model_error("{}: cannot be read", path.string());
  return bytes;
}

// How many bytes the seal stands for.
uint64_t sealed_bytes(const std::filesystem::path& path) {
  const std::string bytes = bytes_of(path);
  const size_t seal = seal_of("").size();
  const size_t size = bytes.size() < seal ? 0 : bytes.size() - seal;
  if (seal_of({bytes.data(), size}) != std::string_view(bytes).substr(size))
    throw model_error("{}: not whole: its last line is no checksum of the rest", path.string());
  return size;
}

}  // namespace

State read_hdf5(const std::filesystem::path& file) {
  const uint64_t bytes = sealed_bytes(file);
  const auto lock = hdf5_lock();
  return Reader(file, bytes).state();
}

}  // namespace rankwise
