// JSON in and out: the texts are those of Python's json (tests/golden/hub/make.py).
#include "peft/hub/json.h"

#include <limits>

#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

std::string refused(const std::string& text) {
  return error_of([&] { parse_json(text, "a.jsonl:7", ErrorKind::kInput); }, ErrorKind::kInput);
}

TEST(Json, WritesWhatPythonWrites) {
  const std::string python = bytes_of_file(kGolden / "dumps.json");
  EXPECT_EQ(pretty(parse_json(python, "dumps.json", ErrorKind::kModel)), python);
}

TEST(Json, WritesValuesThatItRefusesToRead) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(pretty({infinity, -infinity, std::nan("")}), "[\n  Infinity,\n  -Infinity,\n  NaN\n]");
  for (const char* text : {"{\"a\": Infinity}", "{\"a\": -Infinity}", "{\"a\": NaN}"})
    expect_contains(refused(text), "a.jsonl:7: column ");
}

TEST(Json, RefusesToWriteWhatIsNotUtf8) {
  for (const char* bytes : {"caf\xE9", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
                            "\xF4\x90\x80\x80", "\xF8", "\xE4\xB8"}) {
    expect_contains(error_of([&] { pretty(bytes); }, ErrorKind::kInput), "not UTF-8");
  }
}

TEST(Json, NamesThePosition) {
  expect_contains(refused("[1, 2"), "a.jsonl:7: column 6: syntax error");
  expect_contains(refused("[1] [2]"), "column 5");
  expect_contains(refused(""), "column 1");
  expect_contains(refused("{\n  \"a\": 1,\n  \"b\": tru\n}"), "line 3, column 11");
  expect_contains(refused("[1e999]"), "1e999");
  expect_contains(refused("[\"\\ud800\"]"), "surrogate");
  expect_contains(refused("[\"caf\xE9\"]"), "UTF-8");
}

TEST(Json, DepthIsBounded) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(parse_json(nested(200), "x", ErrorKind::kInput).dump(), nested(200));
  expect_contains(refused(nested(201)), "column 201: nested deeper than 200");
  expect_contains(refused(std::string(10'000'000, '[')), "nested deeper than 200");
  // brackets in strings do not count
  const std::string text = "[\"" + std::string(300, '[') + "\\\"" + std::string(300, '{') + "\"]";
  EXPECT_EQ(parse_json(text, "x", ErrorKind::kInput)[0].get<std::string>().size(), 601u);
}

TEST(Json, RepeatedKeys) {
  const std::string text = R"({"a": 1, "b": {"a": 2}, "a": 3})";
  EXPECT_EQ(parse_json(text, "x", ErrorKind::kModel)["a"], 3);
  const auto strict = [](const std::string& text) {
    return parse_json(text, "x", ErrorKind::kModel, RepeatedKey::kError);
  };
  expect_contains(error_of([&] { strict(text); }), "\"a\" is there twice");
  expect_contains(error_of([&] { strict(R"([{"b": 1, "\u0062": 2}])"); }), "\"b\" is there twice");
  EXPECT_EQ(strict(R"({"a": 1, "b": {"a": 2}})")["b"]["a"], 2);
}

TEST(Json, FilesThatCannotBeRead) {
  const TemporaryFolder folder;
  expect_contains(error_of([&] { read_json(folder.path() / "none.json"); }),
                  "none.json: No such file");
  expect_contains(error_of([&] { read_json(folder.path()); }), "Is a directory");
  const auto file = folder.write("long.json", fmt::format("\"{:x<{}}\"", "", 3 << 20));
  EXPECT_EQ(read_json(file).get<std::string>().size(), size_t(3 << 20));
}

}  // namespace
}  // namespace rankwise
