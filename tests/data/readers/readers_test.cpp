// Rows as the formats define them, exactly, and errors that name file, row and field.
#include "data/readers/lines.h"
#include "data/readers/reader.h"
#include "tests/data/support.h"

namespace rankwise {
namespace {

class Readers : public testing::Test {
 protected:
  // [[line, columns], …] of a file with these bytes.
  Json rows_of(const std::string& name, const std::string& bytes) {
    return rows_of(folder_.write(name, bytes));
  }
  static Json rows_of(const std::filesystem::path& file) {
    Json rows = Json::array();
    read_rows(file, [&](Row&& row) { rows.push_back({row.number, row.columns}); });
    return rows;
  }
  // The message without the folder.
  std::string error_in(const std::string& name, const std::string& bytes) {
    const auto file = folder_.write(name, bytes);
    const std::string message = error_of([&] { rows_of(file); });
    EXPECT_TRUE(message.starts_with(folder_.path().string() + "/")) << message;
    return message.substr(std::min(message.size(), folder_.path().string().size() + 1));
  }
  static Json json(const char* text) { return parse_json(text, "test", ErrorKind::kInternal); }

  TemporaryFolder folder_;
};

TEST_F(Readers, TsvHasAHeaderAndTakesQuotesAsTheyAre) {
  EXPECT_EQ(rows_of("a.tsv", "text\tlabel\n\"a\" film\t1\n\tx, y\n"),
            json(R"([[2,{"text":"\"a\" film","label":"1"}],[3,{"text":"","label":"x, y"}]])"));
}

TEST_F(Readers, ByteOrderMarkCarriageReturnsAndBlankEndsAreNoText) {
  const Json expected = json(R"([[2,{"text":"é","label":"1"}]])");
  EXPECT_EQ(rows_of("a.tsv", "\xEF\xBB\xBFtext\tlabel\r\né\t1\r\n\r\n\n\n"), expected);
  EXPECT_EQ(rows_of("a.tsv", "text\tlabel\né\t1"), expected);
  EXPECT_EQ(rows_of("a.csv", "\xEF\xBB\xBFtext,label\r\n\"é\",1\r\n\r\n"), expected);
  EXPECT_EQ(rows_of("a.jsonl", "{\"a\":1}\r\n\n"), json(R"([[1,{"a":1}]])"));
}

TEST_F(Readers, CsvReadsWhatPythonsWriterWrote) {
  Json expected = Json::array();
  for (const Json& row : read_json(kGolden / "rows.json")) {
    expected.push_back({row["line"], row["columns"]});
  }
  ASSERT_EQ(expected.size(), 60);
  EXPECT_EQ(rows_of(kGolden / "rows.csv"), expected);
}

TEST_F(Readers, JsonlGivesWhatTheLineSays) {
  EXPECT_EQ(rows_of("a.jsonl", R"({"input_ids":[1,2],"labels":0})"
                               "\n"
                               R"({"text":"\u00e9\n","label":null})"),
            json(R"([[1,{"input_ids":[1,2],"labels":0}],[2,{"text":"é\n","label":null}]])"));
}

TEST_F(Readers, TxtRowsAreLinesBlankOnesBetweenThemIncluded) {
  EXPECT_EQ(rows_of("a.txt", "one\n\n\r\n two\t\n\n"),
            json(R"([[1,{"text":"one"}],[2,{"text":""}],[3,{"text":""}],[4,{"text":" two\t"}]])"));
}

TEST_F(Readers, LinesLongerThanTheBufferAreWhole) {
  const std::string a(1'500'000, 'a'), b(1 << 20, 'b'), c(2'097'151, 'c');
  EXPECT_EQ(
      rows_of("a.txt", a + "\n" + b + "\n" + c + "\nd\n"),
      Json({{1, {{"text", a}}}, {2, {{"text", b}}}, {3, {{"text", c}}}, {4, {{"text", "d"}}}}));
}

TEST_F(Readers, AShareOfTheRowsIsParsedAndAllAreCounted) {
  for (const auto& [name, bytes] : std::vector<std::pair<std::string, std::string>>{
           {"a.tsv", "text\nA\nB\nC\nD\n"},
           {"a.csv", "text\n\"A\"\nB\n\"C\"\nD\n"},
           {"a.txt", "\nA\nB\nC\nD\n"},
           {"a.jsonl", "{}\n{\"text\":\"A\"}\n{\n{\"text\":\"C\"}\n[\n"}}) {
    const bool headless = name == "a.txt" || name == "a.jsonl";  // one row more, before A
    std::vector<std::string> seen;
    const auto wanted = [&](int64_t row) { return row == 0 + headless || row == 2 + headless; };
    const auto each = [&](Row&& row) {
      seen.push_back(std::to_string(row.number) + row.columns["text"].get<std::string>());
    };
    EXPECT_EQ(read_rows(folder_.write(name, bytes), wanted, each), 4 + headless) << name;
    EXPECT_EQ(seen, (std::vector<std::string>{"2A", "4C"})) << name;
  }
}

TEST_F(Readers, TablesWithRaggedRowsAreRefused) {
  EXPECT_EQ(error_in("a.tsv", "id\ttext\tlabel\n1\ta\t0\n2\tb\n"),
            "a.tsv:3: 2 fields, but the header line has 3 (id, text, label); field 'label' is "
            "missing");
  EXPECT_EQ(error_in("a.csv", "text,label\n\"a\nb\",0\nc,d,1\n"),
            "a.csv:4: 3 fields, but the header line has 2 (text, label)");
  EXPECT_EQ(error_in("a.tsv", "text\tlabel\n\na\t0\n"),
            "a.tsv:2: 1 fields, but the header line has 2 (text, label); field 'label' is missing");
  EXPECT_EQ(error_in("a.tsv", "text\ttext\na\tb\n"),
            "a.tsv:1: the header line names the column 'text' twice");
}

TEST_F(Readers, CsvQuotesMustClose) {
  EXPECT_EQ(error_in("a.csv", "text,label\na,0\n\"b,1\nc,2\n\n\n"),
            "a.csv:3: field 1 opens a quote that never closes");
  EXPECT_EQ(error_in("a.csv", "text,label\na,\"b\"c\n"),
            "a.csv:2: text after the closing quote of field 2");
}

TEST_F(Readers, BrokenJsonNamesRowAndPosition) {
  const std::string broken = error_in("a.jsonl", "{\"a\":1}\n{\"a\":\n{\"a\":2}\n");
  EXPECT_TRUE(broken.starts_with("a.jsonl:2: column ")) << broken;
  EXPECT_TRUE(error_in("a.jsonl", "{}\n\n{}\n").starts_with("a.jsonl:2: ")) << "blank line";
  EXPECT_EQ(error_in("a.jsonl", "{}\n[1]\n"),
            "a.jsonl:2: a row must be a JSON object, this is an array");
}

TEST_F(Readers, InvalidUtf8NamesRowAndField) {
  EXPECT_EQ(error_in("a.tsv", "text\tlabel\nok\t1\nb\xFF\t1\n"),
            "a.tsv:3: invalid UTF-8 in field 'text'");
  EXPECT_EQ(error_in("a.csv", "text,label\na,\xC0\x80\n"),
            "a.csv:2: invalid UTF-8 in field 'label'");
  EXPECT_EQ(error_in("a.jsonl", "{}\n{\"a\":\"\xED\xA0\x80\"}\n"), "a.jsonl:2: invalid UTF-8");
  EXPECT_EQ(error_in("a.txt", "\xE2\x82\n"), "a.txt:1: invalid UTF-8");
  EXPECT_EQ(error_in("a.tsv", "\xFFtext\na\n"), "a.tsv:1: invalid UTF-8 in the header line");
}

TEST_F(Readers, FilesWithoutRowsAreRefused) {
  EXPECT_EQ(error_in("a.tsv", ""), "a.tsv: the file is empty");
  EXPECT_EQ(error_in("a.tsv", "text\tlabel\n\n"), "a.tsv: no rows");
  EXPECT_EQ(error_in("a.jsonl", "\n \n").substr(0, 8), "a.jsonl:") << "a space is no blank line";
  EXPECT_EQ(error_in("a.jsonl", "\n\n"), "a.jsonl: no rows");
  EXPECT_EQ(error_of([&] { rows_of(folder_.path() / "no.tsv"); }),
            folder_.path().string() + "/no.tsv: No such file or directory");
  std::filesystem::create_directory(folder_.path() / "d.tsv");
  EXPECT_EQ(error_of([&] { rows_of(folder_.path() / "d.tsv"); }),
            folder_.path().string() + "/d.tsv: is a folder, not a file of rows");
}

TEST_F(Readers, UnknownEndingsAreNamed) {
  EXPECT_EQ(error_in("a.xlsx", "x"),
            "a.xlsx: unknown ending '.xlsx'; known: .csv, .jsonl, .tsv, .txt");
  EXPECT_EQ(error_in("a", "x"), "a: unknown ending ''; known: .csv, .jsonl, .tsv, .txt");
  EXPECT_NE(error_in("a.h5", "x").find("token stores come with `prepare`"), std::string::npos);
}

TEST(ValidUtf8, FollowsTheTableOfRfc3629) {
  // Every code point, encoded here by hand; then every two-byte start that is none.
  for (uint32_t code = 0; code <= 0x10FFFF; code += code < 0x3000 || code > 0xD000 ? 1 : 37) {
    const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
    std::string text = "seven: ";
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += {static_cast<char>(0xC0 | (code >> 6)), tail(0)};
    } else if (code < 0x10000) {
      text += {static_cast<char>(0xE0 | (code >> 12)), tail(6), tail(0)};
    } else {
      text += {static_cast<char>(0xF0 | (code >> 18)), tail(12), tail(6), tail(0)};
    }
    ASSERT_EQ(valid_utf8(text), code < 0xD800 || code > 0xDFFF) << std::hex << code;
  }
  for (const char* text : {"\x80", "\xBF", "\xC0\xAF", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x9F\xBF",
                           "\xE1\x80", "\xE1\x80(", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
                           "\xF5\x80\x80\x80", "\xFE", "\xFF", "abcdefgh\xFF"}) {
    EXPECT_FALSE(valid_utf8(text)) << text;
  }
}

}  // namespace
}  // namespace rankwise
