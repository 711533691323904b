// The GGUF format against files of the `gguf` package, and against lies.
#include "peft/hub/gguf.h"

#include <sstream>

#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

const std::filesystem::path kFiles = kGolden / "gguf";

// A file's bytes, piece by piece.
class Bytes {
 public:
  explicit Bytes(uint64_t tensors = 0, uint64_t values = 0, uint32_t version = 3) {
    text_ = "GGUF";
    add(version).add(tensors).add(values);
  }
  template <class Number>
  Bytes& add(Number number) {
    text_.append(reinterpret_cast<const char*>(&number), sizeof number);
    return *this;
  }
  Bytes& text(const std::string& text) {
    add(uint64_t(text.size()));
    text_ += text;
    return *this;
  }
  Bytes& tensor(const std::string& name, std::vector<uint64_t> sizes, uint32_t type,
                uint64_t offset) {
    text(name).add(uint32_t(sizes.size()));
    for (const uint64_t size : sizes) add(size);
    return add(type).add(offset);
  }
  std::string with_data(size_t bytes) const {
    return text_ + std::string((32 - text_.size() % 32) % 32 + bytes, '\0');
  }
  const std::string& whole() const { return text_; }

 private:
  std::string text_;
};

Gguf parse(const std::string& file) {
  std::istringstream in(file);
  return parse_gguf(in, file.size(), "w.gguf");
}

std::string refused(const std::string& file) {
  return error_of([&] { parse(file); });
}

TEST(Gguf, ReadsValuesOfEveryType) {
  const Gguf gguf = read_gguf(kFiles / "values.gguf");
  const GgufMetadata& values = gguf.metadata;
  EXPECT_EQ(values.integer("v.uint8"), 255);
  EXPECT_EQ(values.integer("v.uint16"), 65535);
  EXPECT_EQ(values.integer("v.uint32"), 4294967295);
  EXPECT_EQ(values.integer("v.int8"), -128);
  EXPECT_EQ(values.integer("v.int16"), -32768);
  EXPECT_EQ(values.integer("v.int32"), INT32_MIN);
  EXPECT_EQ(values.integer("v.int64"), INT64_MIN);
  EXPECT_EQ(values.number("v.float32"), 1e-5);
  EXPECT_EQ(values.number("v.float64"), 0.1);
  EXPECT_TRUE(values.boolean("v.true"));
  EXPECT_FALSE(values.boolean("v.false"));
  EXPECT_EQ(values.text("v.text"), "é\n中");
  EXPECT_EQ(values.texts("v.texts"), (std::vector<std::string>{"a", "", "ß"}));
  EXPECT_EQ(values.integers("v.integers"), (std::vector<int64_t>{-1, 0, 7}));
  EXPECT_EQ(values.numbers("v.floats"), (std::vector<double>{0.5, 1e-5}));
  EXPECT_EQ(values.integers("v.bytes"), (std::vector<int64_t>{0, 255}));
  EXPECT_EQ(values.values().at("v.nested"), Json::parse("[[1, 2], [3]]"));
  EXPECT_EQ(values.values().at("v.booleans"), Json::parse("[true, false]"));
  ASSERT_EQ(gguf.tensors.size(), 2u);
  EXPECT_EQ(gguf.tensors[0].shape, std::vector<int64_t>{1});
  EXPECT_EQ(gguf.tensors[0].offset % 64, 0u);
  EXPECT_EQ(bytes_of_file(kFiles / "values.gguf").substr(gguf.tensors[0].offset, 4),
            std::string("\0\0\xC0\x3F", 4));  // 1.5f
  EXPECT_EQ(gguf.tensors[1].name, "cube");
  EXPECT_EQ(gguf.tensors[1].dtype, Dtype::kInt16);
  EXPECT_EQ(gguf.tensors[1].shape, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(gguf.tensors[1].bytes, 12u);
}

TEST(Gguf, ErrorsNameFileAndKey) {
  const GgufMetadata values = read_gguf(kFiles / "values.gguf").metadata;
  const std::string file = (kFiles / "values.gguf").string();
  const auto is = [&](auto read, const std::string& what) {
    EXPECT_EQ(error_of(read), file + ": " + what + "\n");
  };
  is([&] { values.text("v.none"); }, "'v.none' is missing");
  is([&] { values.text("v.uint8"); }, "'v.uint8' is 255, not a text");
  is([&] { values.integer("v.text"); }, "'v.text' is a text, not an integer");
  is([&] { values.integer("v.uint64"); }, "'v.uint64' is 18446744073709551615, not an integer");
  is([&] { values.integer("v.float64"); }, "'v.float64' is 0.1, not an integer");
  is([&] { values.number("v.texts"); }, "'v.texts' is a list of 3, not a number");
  is([&] { values.boolean("v.uint8"); }, "'v.uint8' is 255, not true or false");
  is([&] { values.texts("v.integers"); }, "'v.integers' is not a list of texts");
  is([&] { values.integers("v.floats"); }, "'v.floats' is not a list of integers");
  is([&] { values.numbers("v.texts"); }, "'v.texts' is not a list of numbers");
  is([&] { values.numbers("v.text"); }, "'v.text' is a text, not a list");
}

TEST(Gguf, RefusesLyingHeaders) {
  constexpr uint64_t kHuge = uint64_t{1} << 62;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "cut short, or damaged: the magic number needs 4 bytes at byte 0, the file has 0"},
      {"GGML0000", "not a GGUF file"},
      {Bytes(0, 0, 1).whole(), "GGUF version 1; 2 and 3 are supported"},
      {Bytes(0, 0, 0x03000000).whole(), "big-endian"},
      {Bytes(kHuge, 0).whole(), "the list of tensors would have 4611686018427387904 entries"},
      {Bytes(0, kHuge).whole(), "the metadata would have 4611686018427387904 entries"},
      {Bytes(0, 1).add(kHuge).whole() + "key and more", "key 0 needs 4611686018427387904 bytes"},
      {Bytes(0, 1).text("k").add(8u).add(kHuge).whole(), "'k' needs 4611686018427387904 bytes"},
      {Bytes(0, 1).text("k").add(9u).add(4u).add(kHuge).whole(),
       "'k' would have 4611686018427387904 entries, but the file has only 0 bytes left"},
      {Bytes(0, 1).text("k").add(13u).whole(), "'k' has values of the type 13"},
      {Bytes(0, 2).text("k").add(7u).add('\1').text("k").add(7u).add('\1').whole(),
       "'k' is there twice"},
      {Bytes(0, 1).text("general.alignment").add(4u).add(24u).whole(),
       "'general.alignment' is 24, not a power of two"},
      {Bytes(0, 1).text("general.alignment").add(4u).add(0u).whole(), "is 0, not a power of two"},
      {Bytes(1).tensor("t", {2}, 0, 0).with_data(7),
       "tensor 't' has 8 bytes at byte 0 of the data, which has 7"},
      {Bytes(1).tensor("t", {2}, 0, 32).with_data(32),
       "tensor 't' has 8 bytes at byte 32 of the data, which has 32"},
      {Bytes(1).tensor("t", {2}, 0, kHuge).with_data(8), "at byte 4611686018427387904"},
      {Bytes(1).tensor("t", {2}, 0, 4).with_data(64),
       "tensor 't' starts at byte 4 of the data, not a multiple of 32"},
      {Bytes(1).tensor("t", {1, 1, 1, 1, 1}, 0, 0).with_data(64), "tensor 't' has 5 dimensions"},
      {Bytes(1).tensor("t", {2}, 10, 0).with_data(64), "tensor 't' has ggml's type 10"},
      {Bytes(1).tensor("t", {33}, 8, 0).with_data(64),
       "tensor 't' has shape [33], but Q8_0 holds rows of whole blocks of 32"},
      {Bytes(1).tensor("t", {}, 8, 0).with_data(64), "tensor 't' has shape []"},
      {Bytes(1).tensor("t", {kHuge, kHuge}, 0, 0).with_data(64), "too large"},
      {Bytes(1).tensor("t", {~uint64_t{0}}, 0, 0).with_data(64), "has a dimension of"},
      {Bytes(2).tensor("t", {1}, 0, 0).tensor("t", {1}, 0, 32).with_data(64),
       "tensor 't' is there twice"},
      {Bytes(2).tensor("a", {9}, 0, 0).tensor("b", {1}, 0, 32).with_data(64),
       "tensor 'b' starts at byte 128, but 'a' ends at 132"},
  };
  for (const auto& [file, what] : cases) expect_contains(refused(file), what);
  EXPECT_EQ(parse(Bytes(1).tensor("t", {2}, 0, 0).with_data(8)).tensors.size(), 1u);
  EXPECT_EQ(parse(Bytes(1, 0, 2).tensor("t", {2}, 0, 0).with_data(8)).tensors.size(), 1u);
}

TEST(Gguf, RefusesListsThatNeverEnd) {
  Bytes bytes(0, 1);
  bytes.text("k").add(9u);
  for (int i = 0; i < 100'000; ++i) bytes.add(9u).add(uint64_t{1});
  expect_contains(refused(bytes.whole()), "'k' has lists within lists, more than 8 deep");
}

TEST(Gguf, RefusesFilesThatCannotBeRead) {
  const TemporaryFolder folder;
  expect_contains(error_of([&] { read_gguf(folder.path() / "none.gguf"); }), "none.gguf");
  expect_contains(error_of([&] { read_gguf(folder.path()); }), folder.path().string());
}

// Whatever happens to a header, it is refused, or its tensors lie within the file.
void expect_safe(const std::string& file) {
  try {
    for (const TensorEntry& entry : parse(file).tensors) {
      ASSERT_LE(entry.offset, file.size());
      ASSERT_LE(entry.bytes, file.size() - entry.offset);
    }
  } catch (const Error& error) {
    ASSERT_EQ(error.kind(), ErrorKind::kModel) << error.what();
  }
}

TEST(Gguf, SurvivesEveryCutAndEveryFlippedBit) {
  const std::string whole = bytes_of_file(kFiles / "values.gguf");
  const Gguf gguf = read_gguf(kFiles / "values.gguf");
  const size_t end = gguf.tensors.back().offset + gguf.tensors.back().bytes;
  for (size_t length = 0; length < end; ++length) refused(whole.substr(0, length));
  with_every_bit_flipped(whole, gguf.tensors.front().offset, expect_safe);
}

}  // namespace
}  // namespace rankwise
