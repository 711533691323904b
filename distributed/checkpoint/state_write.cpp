// State → the bytes of an HDF5 file. The same state gives the same bytes: nothing in it tells the
// time. The core driver's buffer is taken at close and not by H5Fget_file_image, which before HDF5
// 1.14.7 gives images with a wrong superblock checksum (HDFGroup/hdf5#1915).
#include <algorithm>
#include <cstring>
#include <set>

#include "distributed/checkpoint/state.h"
#include "distributed/checkpoint/state_format.h"
#include "distributed/core/error.h"

namespace rankwise {
namespace {

constexpr size_t kGrowthBytes = 1 << 20;

// The core driver works in `image`: it only ever asks for one buffer, and for that one to grow.
void* resize(void*, size_t size, H5FD_file_image_op_t, void* image) try {
  auto& bytes = *static_cast<std::string*>(image);
  bytes.resize(size);
  return bytes.data();
} catch (...) {  // called by C code: nothing may be thrown through it
  return nullptr;
}

H5FD_file_image_callbacks_t callbacks_into(std::string& image) {
  return {.image_malloc = [](size_t size, H5FD_file_image_op_t operation,
                             void* image) { return resize(nullptr, size, operation, image); },
          .image_memcpy = [](void* to, const void* from, size_t size, H5FD_file_image_op_t,
                             void*) { return std::memcpy(to, from, size); },
          .image_realloc = resize,
          .image_free = [](void*, H5FD_file_image_op_t, void*) -> herr_t { return 0; },
          .udata_copy = [](void* image) { return image; },
          .udata_free = [](void*) -> herr_t { return 0; },
          .udata = &image};
}

// The buffer is longer than the file. Where the file ends is in its superblock (version 2), after
// the signature (8 bytes), four small numbers, the base address and the extension's address.
void cut_to_size(std::string& image) {
  constexpr size_t kEndOfFileAt = 8 + 4 + 8 + 8;
  uint64_t size = 0;
  if (image.size() >= kEndOfFileAt + sizeof size) {
    std::memcpy(&size, image.data() + kEndOfFileAt, sizeof size);
  }
  if (size == 0) throw Hdf5Failure{"closing the image"};
  image.resize(size);
}

Handle creation_list(hid_t of_class) {
  Handle list(H5Pcreate(of_class), H5Pclose, "making a property list");
  checked(H5Pset_obj_track_times(list, false), "turning times off");
  return list;
}

Handle make_file(std::string& image) {
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "making a property list");
  checked(H5Pset_fapl_core(access, kGrowthBytes, false), "choosing the core driver");
  auto callbacks = callbacks_into(image);
  checked(H5Pset_file_image_callbacks(access, &callbacks), "placing the image");
  checked(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), "choosing the version");
  const Handle creation = creation_list(H5P_FILE_CREATE);
  return {H5Fcreate("state.h5", H5F_ACC_TRUNC, creation, access), H5Fclose, "making the file"};
}

// HDF5 would take "a//b" and "./a/b" for "a/b".
void check_path(const std::string& path) {
  for (size_t start = 0; start <= path.size();) {
    const size_t slash = std::min(path.find('/', start), path.size());
    const std::string_view part = std::string_view(path).substr(start, slash - start);
    if (part.empty() || part == ".") throw internal_error("'{}' is no path of a tensor", path);
    start = slash + 1;
  }
}

void make_groups(hid_t file, const State& state) {
  std::set<std::string> groups;  // sorted: parents first
  for (const auto& [path, tensor] : state.tensors) {
    for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
      groups.insert(path.substr(0, slash));
    }
  }
  const Handle links = utf8_names(H5P_LINK_CREATE), creation = creation_list(H5P_GROUP_CREATE);
  for (const std::string& group : groups) {
    Handle(H5Gcreate2(file, group.c_str(), links, creation, H5P_DEFAULT), H5Gclose,
           "making a group");
  }
}

// Returns the dataset's checksum.
std::string write_tensor(hid_t file, const std::string& path, const at::Tensor& tensor,
                         const std::string& comment) {
  const auto types = stored_types();
  const auto type = std::find_if(types.begin(), types.end(), [&](const StoredType& stored) {
    return stored.type == tensor.scalar_type();
  });
  if (type == types.end() || !tensor.is_cpu()) throw Hdf5Failure{"storing this type or device"};
  const at::Tensor values = tensor.contiguous();
  const std::vector<hsize_t> shape(values.sizes().begin(), values.sizes().end());
  const Handle space(shape.empty()
                         ? H5Screate(H5S_SCALAR)
                         : H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
                     H5Sclose, "making a space");
  const Handle links = utf8_names(H5P_LINK_CREATE), creation = creation_list(H5P_DATASET_CREATE);
  checked(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER), "turning fill values off");
  const Handle dataset(
      H5Dcreate2(file, path.c_str(), type->hdf5, space, links, creation, H5P_DEFAULT), H5Dclose,
      "making a dataset");
  checked(H5Dwrite(dataset, type->hdf5, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.const_data_ptr()),
          "writing a dataset");
  const std::string checksum =
      dataset_checksum(path, type->name, {values.sizes().data(), values.sizes().size()}, comment,
                       {static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
  write_text(dataset, kDtypeName, type->name);
  write_text(dataset, kChecksumName, checksum);
  if (!comment.empty()) write_text(dataset, kCommentName, comment);
  return checksum;
}

void write_state(hid_t file, const State& state, std::string& place) {
  make_groups(file, state);
  Texts checksums;
  for (const auto& [path, tensor] : state.tensors) {
    place = fmt::format("tensor '{}', {}", path, tensor.toString());
    const auto comment = state.comments.find(path);
    checksums[path] =
        write_tensor(file, path, tensor, comment == state.comments.end() ? "" : comment->second);
  }
  for (const auto& [name, text] : state.attributes) {
    place = fmt::format("attribute '{}'", name);
    write_text(file, name, text);
  }
  place = "the root checksum";  // fails where an attribute has taken its name
  write_text(file, kChecksumName, root_checksum(state.attributes, checksums));
  checked(H5Fflush(file, H5F_SCOPE_LOCAL), "flushing");
}

}  // namespace

std::string seal_of(std::string_view hdf5_file) {
  Checksum checksum;
  checksum.add(hdf5_file);
  return "\nrankwise " + checksum.text() + "\n";
}

std::string to_hdf5(const State& state) {
  for (const auto& [path, tensor] : state.tensors) check_path(path);
  for (const auto& [path, comment] : state.comments) {
    if (!state.tensors.count(path))
      throw internal_error("a comment on '{}', which is no tensor", path);
  }
  const auto lock = hdf5_lock();
  std::string image, place = "the file";
  try {
    write_state(make_file(image), state, place);
    cut_to_size(image);
  } catch (const Hdf5Failure& failure) {
    throw internal_error("HDF5 image of the state: {} failed ({})", failure.doing, place);
  }
  return image + seal_of(image);
}

}  // namespace rankwise
