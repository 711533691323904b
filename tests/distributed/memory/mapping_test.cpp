// Bytes of a file in memory: which, for how long, and what is refused.
#include "distributed/memory/mapping.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

std::string text_of(const Mapping& mapping) {
  return {reinterpret_cast<const char*>(mapping.bytes().data()), mapping.bytes().size()};
}

TEST(Mapping, BeginsAnywhereInTheFileAndOutlivesIt) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "mapping_test";
  std::string content;
  for (int i = 0; content.size() < 20000; ++i) content += std::to_string(i) + ",";
  std::ofstream(file) << content;
  Mapping kept;
  for (const size_t offset : {0, 1, 4095, 4096, 4097, 12345}) {
    const Descriptor opened(open(file.c_str(), O_RDONLY | O_CLOEXEC));
    Mapping mapping(opened, offset, 5000, PROT_READ, MAP_PRIVATE);
    EXPECT_EQ(text_of(mapping), content.substr(offset, 5000));
    kept = std::move(mapping);
  }
  std::filesystem::remove(file);
  EXPECT_EQ(text_of(kept), content.substr(12345, 5000));
}

TEST(Mapping, OfNoFileIsAnErrorOfTheMachine) {
  try {
    Mapping(Descriptor(), 0, 10, PROT_READ, MAP_PRIVATE);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMachine);
    EXPECT_NE(std::string(error.what()).find("Bad file descriptor"), std::string::npos);
  }
}

}  // namespace
}  // namespace rankwise
