// What the tests of peft/hub share: golden files, a folder that goes away, and the text of an
// expected Error.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "distributed/core/error.h"
#include "peft/hub/json.h"

namespace rankwise {

inline const std::filesystem::path kGolden = std::filesystem::path(TESTS_DIR) / "golden" / "hub";

inline std::string bytes_of_file(const std::filesystem::path& file) {
  return read_text_file(file, ErrorKind::kModel);
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "hub-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

// "message\nhint" of the Error that `call` throws; fails where it throws none, or one of another
// kind.
template <class Call>
std::string error_of(Call&& call, ErrorKind kind = ErrorKind::kModel) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return std::string(error.what()) + "\n" + error.hint();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

// Calls `each` with `whole` once for every bit of its first `end` bytes, that bit flipped.
template <class Each>
void with_every_bit_flipped(const std::string& whole, size_t end, const Each& each) {
  for (size_t at = 0; at < end; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[at] = char(damaged[at] ^ (1 << bit));
      each(damaged);
    }
  }
}

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

}  // namespace rankwise
