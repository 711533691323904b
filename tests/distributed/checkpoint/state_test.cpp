// state.h5: what goes in comes out, the same state gives the same bytes, and no damaged byte passes
// for whole.
#include "distributed/checkpoint/state.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <random>
#include <thread>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

class Scratch {
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "rankwise-state-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~Scratch() { fs::remove_all(folder_); }
  fs::path write(const std::string& bytes) const {
    std::ofstream(folder_ / "state.h5", std::ios::binary) << bytes;
    return folder_ / "state.h5";
  }
  fs::path folder() const { return folder_; }

 private:
  fs::path folder_;
};

const size_t kSealBytes = seal_of("").size();

// The same damage by somebody who knows of the seal.
std::string sealed_again(std::string bytes) {
  bytes.resize(bytes.size() - kSealBytes);
  return bytes + seal_of(bytes);
}

State small_state() {
  State state;
  state.tensors["adapter/layer.0.query/lora_A"] = at::randn({3, 4});
  state.tensors["adapter/layer.0.query/lora_B"] = at::randn({4, 3}).to(at::kBFloat16);
  state.tensors["optimizer/exp_avg"] = at::randn({7}, at::kDouble);
  state.tensors["optimizer/step"] = at::arange(1, 2).view({});
  state.tensors["rows"] = at::arange(5, at::kInt);
  state.tensors["bytes"] = at::arange(9, at::kByte);
  state.tensors["nothing"] = at::empty({0, 5}, at::kFloat);
  state.comments["optimizer/exp_avg"] = "first moment, one number a parameter";
  state.attributes = {{"seed", "42"}, {"empty", ""}, {"text", "größe \"ä\"\n"}};
  return state;
}

void expect_same(const State& a, const State& b) {
  EXPECT_EQ(a.attributes, b.attributes);
  EXPECT_EQ(a.comments, b.comments);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [path, tensor] : a.tensors) {
    ASSERT_TRUE(b.tensors.count(path)) << path;
    const at::Tensor& other = b.tensors.at(path);
    EXPECT_EQ(tensor.scalar_type(), other.scalar_type()) << path;
    EXPECT_EQ(tensor.sizes(), other.sizes()) << path;
    EXPECT_TRUE(at::equal(tensor, other)) << path;
  }
}

std::string complaint_about(const fs::path& file) {
  try {
    read_hdf5(file);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kModel) << error.what();
    EXPECT_NE(std::string(error.what()).find(file.string()), std::string::npos) << error.what();
    return error.what();
  }
  return "";
}

std::string output_of(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string output;
  for (int c; (c = fgetc(pipe)) != EOF;) output += static_cast<char>(c);
  return pclose(pipe) == 0 ? output : "failed: " + output;
}

TEST(State, ComesBackAsItWas) {
  const Scratch scratch;
  const State state = small_state();
  expect_same(state, read_hdf5(scratch.write(to_hdf5(state))));
  expect_same({}, read_hdf5(scratch.write(to_hdf5({}))));
}

TEST(State, ViewsAreStoredAsTheyLook) {
  const Scratch scratch;
  State state;
  state.tensors["transposed"] = at::randn({3, 5}).t();
  expect_same(state, read_hdf5(scratch.write(to_hdf5(state))));
}

TEST(State, HoldsLongTextsAndManyAttributes) {
  const Scratch scratch;
  State state = small_state();
  std::string log;
  while (log.size() < 1'000'000) log += R"({"step": )" + std::to_string(log.size()) + "},\n";
  state.attributes["log_history"] = log;
  state.attributes["with_zeros"] = std::string("a\0b\0", 4);
  for (int i = 0; i < 100; ++i) state.attributes["option_" + std::to_string(i)] = std::to_string(i);
  expect_same(state, read_hdf5(scratch.write(to_hdf5(state))));
}

TEST(State, SameStateSameBytesWithoutTimes) {
  const Scratch scratch;
  const State state = small_state();
  const std::string bytes = to_hdf5(state);
  EXPECT_EQ(to_hdf5(state), bytes);
  const std::string listing = output_of("h5ls -r -v " + scratch.write(bytes).string());
  EXPECT_NE(listing.find("/optimizer/exp_avg"), std::string::npos) << listing;
  EXPECT_EQ(listing.find("Modified"), std::string::npos) << listing;
}

TEST(State, ExplainsItselfInH5dump) {
  const Scratch scratch;
  const std::string dump = output_of("h5dump -A " + scratch.write(to_hdf5(small_state())).string());
  for (const char* part : {"ATTRIBUTE \"seed\"", "(0): \"42\"", "DATASET \"exp_avg\"",
                           "first moment, one number a parameter", "\"bfloat16\"", "crc32:"}) {
    EXPECT_NE(dump.find(part), std::string::npos) << part << "\n" << dump;
  }
}

TEST(State, NoChangedByteOfMeaningPasses) {
  const Scratch scratch;
  State state = small_state();
  state.attributes["log_history"] = std::string(70000, 'x');  // stored apart from the small ones
  const std::string bytes = to_hdf5(state);
  std::mt19937_64 random(42);
  int found = 0, tried = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (random() % 100 != 0) continue;  // 5 ms each
    std::string damaged = bytes;
    damaged[at] ^= static_cast<char>(1 << random() % 8);
    ++tried;
    EXPECT_NE(complaint_about(scratch.write(damaged)), "");
    if (at >= bytes.size() - kSealBytes) continue;
    try {  // the checksums inside find it too, or it is a byte between the parts
      expect_same(state, read_hdf5(scratch.write(sealed_again(damaged))));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kModel);
      ++found;
    }
    ASSERT_FALSE(HasFailure()) << "byte " << at << " of " << bytes.size();
  }
  std::printf("%d of %d flipped bits found, the others meant nothing\n", found, tried);
  EXPECT_GT(found, 500);
}

// HDF5 1.10 crashes on such files (a link that points to nowhere).
TEST(State, DamageThatCrashesHdf5IsFoundBefore) {
  const Scratch scratch;
  const std::string bytes = to_hdf5(small_state());
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string damaged = bytes;
    const size_t at = bytes.size() - kSealBytes - 7 - random() % 4000;
    for (size_t i = at; i < at + 7; ++i) damaged[i] = static_cast<char>(~damaged[i]);
    ASSERT_NE(complaint_about(scratch.write(damaged)).find("not whole"), std::string::npos) << at;
  }
}

TEST(State, NoTruncatedFilePasses) {
  const Scratch scratch;
  const std::string bytes = to_hdf5(small_state());
  for (size_t size = 0; size < bytes.size(); size += size < 300 ? 1 : 97) {
    ASSERT_NE(complaint_about(scratch.write(bytes.substr(0, size))), "") << size;
  }
}

TEST(State, DamageNamesFileAndDataset) {
  const Scratch scratch;
  State state;
  state.tensors["optimizer/exp_avg"] = at::arange(1000, at::kDouble);
  std::string bytes = to_hdf5(state);
  const double value = 500;
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&value), sizeof value));
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 1;
  EXPECT_NE(complaint_about(scratch.write(bytes)).find("not whole"), std::string::npos);
  const std::string complaint = complaint_about(scratch.write(sealed_again(bytes)));
  EXPECT_NE(complaint.find("dataset 'optimizer/exp_avg': checksum"), std::string::npos)
      << complaint;
}

TEST(State, WhatIsNoStateIsRefused) {
  const Scratch scratch;
  EXPECT_NE(complaint_about(scratch.folder() / "missing.h5").find("No such file"),
            std::string::npos);
  EXPECT_NE(complaint_about(scratch.folder()).find("not a file"), std::string::npos);
  EXPECT_NE(complaint_about(scratch.write("")).find("not whole"), std::string::npos);
  EXPECT_NE(complaint_about(scratch.write(std::string(5000, 'x'))).find("not whole"),
            std::string::npos);
  EXPECT_NE(complaint_about(scratch.write(seal_of(""))).find("no whole HDF5 file"),
            std::string::npos);
}

TEST(State,
     ToolsThatRewriteAreNoticed) {  // a filter could blow up a small file, a chunk could be missing
  const Scratch scratch;
  State state;
  state.tensors["weights"] = at::randn({100, 100});
  const std::string from = scratch.write(to_hdf5(state)).string();
  const std::string to = (scratch.folder() / "packed.h5").string();
  ASSERT_EQ(output_of("h5repack -f GZIP=1 " + from + " " + to), "");
  EXPECT_NE(complaint_about(to).find("not whole"), std::string::npos);
  std::ifstream packed(to, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(packed), {});
  EXPECT_NE(complaint_about(scratch.write(bytes + seal_of(bytes))).find("not stored in one piece"),
            std::string::npos);
}

TEST(State, MistakesOfTheCallerAreBugs) {
  const auto kind_of = [](const State& state) {
    try {
      to_hdf5(state);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kUsage;
  };
  const at::Tensor one = at::randn({1});
  State state;
  state.tensors["half"] = one.to(at::kHalf);
  EXPECT_EQ(kind_of(state), ErrorKind::kInternal);
  for (const char* path : {"", "/a", "a/", "a//b", "./a", "a/."}) {
    EXPECT_EQ(kind_of({{{path, one}}, {}, {}}), ErrorKind::kInternal) << path;
  }
  EXPECT_EQ(kind_of({{{"a", one}, {"a/b", one}}, {}, {}}), ErrorKind::kInternal);
  EXPECT_EQ(kind_of({{}, {{"checksum", "mine"}}, {}}), ErrorKind::kInternal);
  EXPECT_EQ(kind_of({{{"a", one}}, {}, {{"b", "about what?"}}}), ErrorKind::kInternal);
}

TEST(State, ThreadsMayReadAndWriteAtOnce) {
  const Scratch scratch;
  const State state = small_state();
  const std::string bytes = to_hdf5(state);
  const fs::path file = scratch.write(bytes);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 20; ++j) {
        EXPECT_EQ(to_hdf5(state), bytes);
        expect_same(state, read_hdf5(file));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace rankwise
