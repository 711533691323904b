// The little of HDF5's C interface that needs care: one lock around all calls, handles that close
// themselves, and return codes that cannot be overlooked. Include it only where HDF5 is at home:
// this folder and the token store.
#pragma once

#define H5_USE_110_API  // later libraries then offer the same H5Ovisit
#include <hdf5.h>

#include <filesystem>
#include <mutex>
#include <string>
#include <utility>

namespace rankwise {

// Hold this during any HDF5 call: the library is not thread-safe. Also stops it from printing its
// errors.
[[nodiscard]] std::unique_lock<std::mutex> hdf5_lock();

// Thrown by checked() and Handle; whoever knows the file and dataset turns it into an Error.
struct Hdf5Failure {
  const char* doing;
};

template <class Code>
Code checked(Code code, const char* doing) {
  if (code < 0) throw Hdf5Failure{doing};
  return code;
}

class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close close, const char* doing) : id_(checked(id, doing)), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  Close close_;
};

Handle utf8_names(hid_t of_class);  // a property list of that class for names in UTF-8
// Opens a file for reading, without locking it.
Handle open_hdf5(const std::filesystem::path& file);
// A text of fixed length as an attribute; its end is marked by a zero that is not part of it.
void write_text(hid_t object, const std::string& name, const std::string& text);
std::string read_text(hid_t object, const std::string& name);

}  // namespace rankwise
