// Packed units, number by number; and a loader that keeps order, hands errors on and stops early.
#include "data/loader.h"

#include <thread>

#include "tests/data/support.h"

namespace rankwise {
namespace {

using Numbers = std::vector<int64_t>;

Numbers numbers(const at::Tensor& tensor) {
  EXPECT_EQ(tensor.scalar_type(), at::kLong);
  const int64_t* first = tensor.const_data_ptr<int64_t>();
  return {first, first + tensor.numel()};
}

// ids followed by zeros up to `size`.
Numbers filled(Numbers ids, size_t size) {
  ids.resize(size);
  return ids;
}

TEST(Pack, RowsLieEndToEndWithFillersBehind) {
  const TokenStore store = store_of({{{5, 6, 7}, {}, {1}}, {{8}, {}, {0}}, {{9, 10}, {}, {2}}});
  const Unit unit = pack(store, {{2, 0}, 5}, {TaskType::kSeqCls});
  EXPECT_EQ(numbers(unit.text.tokens), filled({9, 10, 5, 6, 7}, 16));
  EXPECT_FALSE(unit.text.token_types.defined());
  EXPECT_EQ(unit.text.bounds, (Numbers{0, 2, 5}));
  EXPECT_EQ(unit.rows, (Numbers{2, 0}));
  EXPECT_EQ(numbers(unit.targets), (Numbers{2, 1}));
  EXPECT_FALSE(unit.target_index.defined());
}

TEST(Pack, NumbersOfARegressionAreFloats) {
  const TokenStore store = store_of({{{5}, {}, {}, {0.5F}}, {{8}, {}, {}, {-2}}});
  const at::Tensor targets = pack(store, {{1, 0}, 2}, {TaskType::kSeqCls}).targets;
  ASSERT_EQ(targets.scalar_type(), at::kFloat);
  ASSERT_EQ(targets.numel(), 2);
  EXPECT_EQ(targets.const_data_ptr<float>()[0], -2);
  EXPECT_EQ(targets.const_data_ptr<float>()[1], 0.5F);
}

TEST(Pack, RowsWithoutLabelsHaveNoTargets) {
  const TokenStore store = store_of({{{5}, {}, {}}, {{8}, {}, {}}});
  EXPECT_FALSE(pack(store, {{1, 0}, 2}, {TaskType::kSeqCls}).targets.defined());
}

TEST(Pack, TypesOfRowsWithoutThemAreZero) {
  const TokenStore store = store_of({{{5, 6}, {}, {0}}, {{7, 8, 9}, {0, 1, 1}, {0}}});
  const Unit unit = pack(store, {{1, 0, 1}, 8}, {TaskType::kSeqCls});
  EXPECT_EQ(numbers(unit.text.tokens), filled({7, 8, 9, 5, 6, 7, 8, 9}, 16));
  EXPECT_EQ(numbers(unit.text.token_types), filled({0, 1, 1, 0, 0, 0, 1, 1}, 16));
}

TEST(Pack, AddsNoFillersToAMultipleOf16) {
  const TokenStore store = store_of({{std::vector<int32_t>(16, 3), {}, {0}}, {{4}, {}, {1}}});
  EXPECT_EQ(numbers(pack(store, {{0}, 16}, {TaskType::kSeqCls}).text.tokens), Numbers(16, 3));
  EXPECT_EQ(pack(store, {{0, 1}, 17}, {TaskType::kSeqCls}).text.tokens.numel(), 32);
}

// Two rows, labels ignored at some places.
TokenStore labelled() {
  return store_of({{{5, 6, 7, 8}, {}, {-100, 6, -100, 8}}, {{9, 10, 11}, {}, {9, 10, 11}}});
}

TEST(Pack, TokenLabelsStandAtTheirOwnPosition) {
  const Unit unit = pack(labelled(), {{1, 0}, 7}, {TaskType::kTokenCls});
  EXPECT_EQ(numbers(unit.target_index), (Numbers{0, 1, 2, 4, 6}));
  EXPECT_EQ(numbers(unit.targets), (Numbers{9, 10, 11, 6, 8}));
}

TEST(Pack, CausalLabelsStandOneBeforeAndNeverCrossRows) {
  const Unit unit = pack(labelled(), {{1, 0}, 7}, {TaskType::kCausalLm});
  EXPECT_EQ(numbers(unit.target_index), (Numbers{0, 1, 3, 5}));  // nothing predicts a row's first
  EXPECT_EQ(numbers(unit.targets), (Numbers{10, 11, 6, 8}));
}

TEST(Pack, LabelsOfAnotherShapeAreABug) {
  const TokenStore store = store_of({{{5, 6}, {}, {1, 2, 3}}});
  error_of([&] { pack(store, {{0}, 2}, {TaskType::kSeqCls}); }, ErrorKind::kInternal);
  error_of([&] { pack(store, {{0}, 2}, {TaskType::kCausalLm}); }, ErrorKind::kInternal);
  EXPECT_FALSE(pack(store, {{0}, 2}, {TaskType::kFeatureExtraction}).targets.defined());
}

class LoaderTest : public testing::Test {
 protected:
  static TokenStore ten_rows() {
    std::vector<Example> rows;
    for (int32_t row = 0; row < 10; ++row) rows.push_back({{100 + row}, {}, {row % 2}});
    rows.push_back({{7}, {}, {}});  // row 10 has no label: packing it fails
    return store_of(rows);
  }
  static std::vector<UnitRows> units() {
    std::vector<UnitRows> units;
    for (int64_t row = 0; row <= 10; ++row) units.push_back({{row}, 1});
    return units;
  }
  const TokenStore store_ = ten_rows();
  const std::vector<UnitRows> units_ = units();
  const Loader loader_{store_, {TaskType::kSeqCls}};
};

TEST_F(LoaderTest, HandsOutDealtUnitsInOrderOnTheCallersThread) {
  const Numbers dealt = {3, 1, 4, 1, 5, 9, 2, 6};
  Numbers seen;
  loader_.run(units_, dealt, [&, caller = std::this_thread::get_id()](const Unit& unit, int64_t i) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_EQ(numbers(unit.text.tokens)[0], 100 + i);
    seen.push_back(i);
    return true;
  });
  EXPECT_EQ(seen, dealt);
  loader_.run(units_, {}, [](const Unit&, int64_t) -> bool { throw std::logic_error("called"); });
}

TEST_F(LoaderTest, StopsWhereItIsToldTo) {
  Numbers seen;
  loader_.run(units_, Numbers{0, 1, 10, 2}, [&](const Unit&, int64_t i) {
    seen.push_back(i);
    return i != 1;
  });
  EXPECT_EQ(seen, (Numbers{0, 1}));  // and the unit that was being packed, 10, failed unseen
}

TEST_F(LoaderTest, HandsOnWhatPackingAndTheCallerThrow) {
  Numbers seen;
  const auto note = [&](const Unit&, int64_t i) { return seen.push_back(i), true; };
  const std::string message = error_of(
      [&] {
        loader_.run(units_, Numbers{0, 2, 10, 3}, note);
      },
      ErrorKind::kInternal);
  EXPECT_EQ(message, "row 10 has 0 labels, not 1");
  EXPECT_EQ(seen, (Numbers{0, 2}));
  EXPECT_THROW(loader_.run(units_, Numbers{1, 2},
                           [](const Unit&, int64_t) -> bool { throw std::out_of_range("mine"); }),
               std::out_of_range);
}

}  // namespace
}  // namespace rankwise
