// The order of labels and what counts as a whole number.
#include "data/tasks/labels.h"

#include "tests/data/support.h"

namespace rankwise {
namespace {

using Names = std::vector<std::string>;

TEST(Labels, WholeNumbersAreThoseWrittenPlainly) {
  EXPECT_EQ(whole_number("0"), 0);
  EXPECT_EQ(whole_number("-12"), -12);
  EXPECT_EQ(whole_number("9223372036854775807"), INT64_MAX);
  for (const char* text : {"", "-", "+1", "01", "-0", "1.0", "1 ", " 1", "9223372036854775808"}) {
    EXPECT_EQ(whole_number(text), std::nullopt) << text;
  }
}

TEST(Labels, AreSortedByValueOrElseByName) {
  EXPECT_EQ(sorted_labels({"10", "9", "-1", "9"}), (Names{"-1", "9", "10"}));
  EXPECT_EQ(sorted_labels({"10", "9", "x", "é", "X", "x"}), (Names{"10", "9", "X", "x", "é"}));
  EXPECT_EQ(sorted_labels({}), Names{});
}

TEST(Labels, KnowTheirIndex) {
  Labels labels;
  labels.fix({"1", "5"}, std::nullopt);
  EXPECT_TRUE(labels.are_numbers());
  EXPECT_EQ(labels.index_of("5"), 1);
  EXPECT_EQ(labels.index_of("0"), std::nullopt);
  labels.fix({"a", "5"}, 2);
  EXPECT_FALSE(labels.are_numbers());
  EXPECT_EQ(labels.index_of("a"), 0);
  EXPECT_EQ(labels.index_of("1"), std::nullopt) << "the names before are gone";
}

}  // namespace
}  // namespace rankwise
