// A file to a store: the numbers that its rows say, the same bytes at any rank count, errors on all
// ranks alike.
#include "data/prepare.h"

#include <cstring>
#include <mutex>

#include "data/gather_store.h"
#include "tests/data/support.h"

namespace rankwise {
namespace {

using Names = std::vector<std::string>;

// What a store holds, as bytes that can be compared.
std::string bytes_of(const TokenStore& store) {
  std::string bytes;
  const auto add = [&](const auto& values) {
    bytes += std::to_string(values.size_bytes()) + ":";
    bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  };
  add(store.offsets), add(store.input_ids), add(store.token_type_ids);
  add(store.label_offsets), add(store.labels), add(store.values);
  for (const auto& name : store.label_names) bytes += name + "|";
  return bytes + std::to_string(store.truncated_rows) + store.identity;
}

class Prepare : public testing::Test {
 protected:
  static constexpr int64_t kMaxLength = 12;

  // `rows` rows of texts of many lengths; every seventh is a pair where `pairs`.
  std::string jsonl(int rows, bool pairs) const {
    std::string text;
    for (int row = 0; row < rows; ++row) {
      Json line = {{"text", std::string(static_cast<size_t>(row * 7 % 14), 'a' + row % 26)},
                   {"label", row % 3 == 0   ? "pos"
                             : row % 3 == 1 ? "neg"
                                            : "a,\nb"}};
      if (pairs && row % 7 == 3) line["text_pair"] = std::to_string(row);
      text += line.dump() + "\n";
    }
    return text;
  }

  // The stores of all ranks.
  std::vector<std::string> prepared(const std::filesystem::path& file, int ranks, int nodes = 1) {
    std::mutex mutex;
    std::vector<std::string> stores(static_cast<size_t>(ranks));
    run_as_threads(
        ranks,
        [&](Communicator& communicator) {
          const auto task = make_task(TaskType::kSeqCls, options_, no_config());
          const TokenStore store = prepare(communicator, *task, file, limits_);
          const std::scoped_lock lock(mutex);
          stores[static_cast<size_t>(communicator.world().rank)] = bytes_of(store);
        },
        nodes);
    return stores;
  }

  // The message that each rank's Error has.
  std::vector<std::string> refusals(const std::filesystem::path& file, int ranks) {
    std::mutex mutex;
    std::vector<std::string> messages(static_cast<size_t>(ranks));
    run_as_threads(ranks, [&](Communicator& communicator) {
      const auto task = make_task(TaskType::kSeqCls, options_, no_config());
      const std::string message = error_of([&] { prepare(communicator, *task, file, limits_); });
      const std::scoped_lock lock(mutex);
      messages[static_cast<size_t>(communicator.world().rank)] = message;
    });
    return messages;
  }

  TemporaryFolder folder_;
  DataOptions options_;
  const ByteTokenizer tokenizer_{};
  const RowLimits limits_{&tokenizer_, kMaxLength, 256};
};

TEST_F(Prepare, StoreHoldsWhatTheRowsSay) {
  const auto file = folder_.write("a.tsv", "text\tlabel\nab\tpos\n\tneg\nabcdefghijkl\tpos\n");
  const auto communicator = single_rank();
  const auto task = make_task(TaskType::kSeqCls, options_, no_config());
  const TokenStore store = prepare(*communicator, *task, file, limits_);
  ASSERT_EQ(store.rows(), 3);
  EXPECT_EQ(store.tokens(), 18);
  const auto ids = [&](int64_t row) {
    return std::vector<int32_t>(store.ids(row).begin(), store.ids(row).end());
  };
  EXPECT_EQ(ids(0), (std::vector<int32_t>{1, 'a', 'b', 2}));
  EXPECT_EQ(ids(1), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(store.length(2), kMaxLength);
  EXPECT_TRUE(store.token_type_ids.empty());
  EXPECT_TRUE(store.types(0).empty());
  EXPECT_EQ(store.label_names, (Names{"neg", "pos"}));
  EXPECT_EQ(task->label_names(), store.label_names);
  EXPECT_EQ(store.labels_of(0)[0], 1);
  EXPECT_EQ(store.labels_of(1)[0], 0);
  EXPECT_EQ(store.labels_of(2).size(), 1);
  EXPECT_EQ(store.truncated_rows, 1);
  EXPECT_EQ(store.identity, hash_of(store));
}

TEST_F(Prepare, SameBytesOnAnyNumberOfRanksAndNodes) {
  for (const int rows : {2, 255, 256, 257, 1100}) {
    for (const bool pairs : {false, true}) {
      const auto file = folder_.write("a.jsonl", jsonl(rows, pairs));
      const std::string expected = prepared(file, 1)[0];
      for (const auto& [ranks, nodes] : {std::pair{2, 1}, {3, 1}, {4, 2}, {7, 3}}) {
        EXPECT_EQ(prepared(file, ranks, nodes), Names(static_cast<size_t>(ranks), expected))
            << rows << " rows, " << ranks << " ranks";
      }
    }
  }
}

// What texts become in blocks of `size`: the tokens of all rows, in order.
TEST_F(Prepare, BlocksJoinTextsAndLoseNothingOnAnyNumberOfRanks) {
  std::string text;
  std::vector<int32_t> all;
  for (int row = 0; row < 700; ++row) {
    const std::string words(static_cast<size_t>(row * 7 % 14), static_cast<char>('a' + row % 26));
    text += Json{{"text", words}}.dump() + "\n";
    all.push_back(1);
    all.insert(all.end(), words.begin(), words.end());
    all.push_back(2);
  }
  const auto file = folder_.write("a.jsonl", text);
  for (const int64_t size : {int64_t{1}, int64_t{13}, int64_t{1000}, std::ssize(all) + 1}) {
    options_.block_size = size;
    for (const int ranks : {1, 2, 3, 5}) {
      run_as_threads(ranks, [&](Communicator& communicator) {
        const auto task = make_task(TaskType::kCausalLm, options_, no_config());
        const TokenStore store = prepare(communicator, *task, file, {&tokenizer_, size, 256});
        EXPECT_EQ(std::vector(store.input_ids.begin(), store.input_ids.end()), all);
        EXPECT_EQ(std::vector(store.labels.begin(), store.labels.end()), all);
        EXPECT_EQ(store.rows(), (std::ssize(all) + size - 1) / size);
        for (int64_t row = 0; row < store.rows(); ++row) {
          EXPECT_EQ(store.offsets[static_cast<size_t>(row)], row * size);
          EXPECT_EQ(std::ssize(store.labels_of(row)), store.length(row));
        }
        EXPECT_EQ(store.truncated_rows, 0);
      });
    }
  }
}

TEST_F(Prepare, OptionsOfOneTaskAreNoOthers) {
  options_.block_size = 8;
  const auto made = [&](TaskType type) { make_task(type, options_, no_config()); };
  EXPECT_EQ(error_of([&] { made(TaskType::kSeqCls); }, ErrorKind::kUsage),
            "--block_size is an option of CAUSAL_LM, not of SEQ_CLS");
  options_.max_length = 8;
  EXPECT_EQ(error_of([&] { made(TaskType::kCausalLm); }, ErrorKind::kUsage),
            "--block_size and --max_length: texts in blocks are not cut");
}

TEST_F(Prepare, TypesOfOneRowGiveAllRowsTypes) {
  std::string text = jsonl(600, false);
  text += R"({"text":"x","text_pair":"yz","label":"pos"})";
  const auto file = folder_.write("a.jsonl", text);
  run_as_threads(3, [&](Communicator& communicator) {
    const auto task = make_task(TaskType::kSeqCls, options_, no_config());
    const TokenStore store = prepare(communicator, *task, file, limits_);
    ASSERT_EQ(std::ssize(store.token_type_ids), store.tokens());
    const auto types = store.types(600);
    EXPECT_EQ(std::vector<int32_t>(types.begin(), types.end()),
              (std::vector<int32_t>{0, 0, 0, 1, 1, 1}));
    const auto before = store.token_type_ids.first(static_cast<size_t>(store.offsets[600]));
    EXPECT_EQ(std::count(before.begin(), before.end(), 0), std::ssize(before));
  });
}

TEST_F(Prepare, FixedLabelsAreKept) {
  const auto file = folder_.write("a.tsv", "text\tlabel\na\tpos\nb\tpos\n");
  const auto communicator = single_rank();
  const auto task = make_task(TaskType::kSeqCls, options_, no_config());
  task->fix_labels({"neg", "neutral", "pos"});
  const TokenStore store = prepare(*communicator, *task, file, limits_);
  EXPECT_EQ(store.label_names, (Names{"neg", "neutral", "pos"}));
  EXPECT_EQ(store.labels_of(0)[0], 2);
}

TEST_F(Prepare, WholeNumbersAreOrderedByValueOverAllRanks) {
  std::string text = "text\tlabel\n";
  for (int row = 0; row < 700; ++row) text += "a\t" + std::to_string(row < 600 ? 9 : 10) + "\n";
  const auto file = folder_.write("a.tsv", text + "a\t-1\n");
  run_as_threads(3, [&](Communicator& communicator) {
    const auto task = make_task(TaskType::kSeqCls, options_, no_config());
    const TokenStore store = prepare(communicator, *task, file, limits_);
    EXPECT_EQ(task->label_names(), (Names{"-1", "9", "10"}));
    EXPECT_EQ(store.labels_of(700)[0], 0);
    EXPECT_EQ(store.labels_of(650)[0], 2);
  });
}

TEST_F(Prepare, NumbersOfARegressionAreInRowOrderOnAnyNumberOfRanks) {
  std::string text = "text\tlabel\n";
  for (int row = 0; row < 700; ++row) text += "a\t" + std::to_string(row) + ".25\n";
  const auto file = folder_.write("a.tsv", text);
  options_.num_labels = 1;
  run_as_threads(3, [&](Communicator& communicator) {
    const auto task = make_task(TaskType::kSeqCls, options_, no_config());
    const TokenStore store = prepare(communicator, *task, file, limits_);
    EXPECT_TRUE(store.labels.empty());
    ASSERT_EQ(std::ssize(store.values), 700);
    for (int64_t row = 0; row < 700; ++row)
      EXPECT_EQ(store.values_of(row)[0], static_cast<float>(row) + 0.25F);
  });
  EXPECT_EQ(prepared(file, 3), Names(3, prepared(file, 1)[0]));
}

TEST_F(Prepare, LabelsLackInAllRowsOrInNone) {
  options_.labels_optional = true;
  const auto none = folder_.write("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
  const auto communicator = single_rank();
  const auto task = make_task(TaskType::kSeqCls, options_, no_config());
  const TokenStore store = prepare(*communicator, *task, none, limits_);
  EXPECT_EQ(store.rows(), 2);
  EXPECT_FALSE(store.labelled());
  std::string text = jsonl(600, false);
  const auto mixed = folder_.write("b.jsonl", text + R"({"text":"x"})");
  for (const auto& message : refusals(mixed, 3))
    EXPECT_EQ(message, mixed.string() + ": row 601 has no label, but others have");
}

TEST_F(Prepare, ABadRowOnOneRankIsEveryRanksError) {
  std::string text = "text\tlabel\n";
  for (int row = 0; row < 600; ++row) text += "a\t" + std::to_string(row % 2) + "\n";
  const auto short_row = folder_.write("a.tsv", text + "a\n");  // of rank 2
  for (const auto& message : refusals(short_row, 3)) {
    EXPECT_NE(message.find("a.tsv:602: 1 fields"), std::string::npos) << message;
    EXPECT_NE(message.find("rank 2"), std::string::npos) << message;
  }
  options_.num_labels = 2;
  const auto bad_label = folder_.write("b.tsv", text + "a\t2\na\t5\n");
  for (const auto& message : refusals(bad_label, 3)) {
    EXPECT_NE(message.find("b.tsv:602: label 2 in column 'label' is out of range 0..1"),
              std::string::npos)
        << message;
  }
  for (const auto& message : refusals(folder_.path() / "no.tsv", 2)) {
    EXPECT_NE(message.find("no.tsv: No such file"), std::string::npos) << message;
  }
}

TEST_F(Prepare, OneLabelIsNoClassification) {
  const auto file = folder_.write("a.tsv", "text\tlabel\na\tpos\nb\tpos\n");
  EXPECT_EQ(refusals(file, 1)[0],
            file.string() + ": the only label is 'pos'; a classification needs two at least");
}

TEST_F(Prepare, RanksThatReadDifferentFilesAreTold) {
  const auto one = folder_.write("1.tsv", "text\tlabel\na\t0\nb\t1\n");
  std::string text = "text\tlabel\n";
  for (int row = 0; row < 300; ++row) text += "a\t" + std::to_string(row % 2) + "\n";
  const auto many = folder_.write("2.tsv", text + text.substr(text.find('\n') + 1));
  const auto two_more_bytes = folder_.write("3.tsv", "text\tlabel\nabc\t0\nb\t1\n");
  for (const auto& [other, has] :
       {std::pair(many, "600 rows"), std::pair(two_more_bytes, "2 rows in 21")}) {
    run_as_threads(2, [&](Communicator& communicator) {
      const auto& mine = communicator.world().rank == 0 ? one : other;
      const auto task = make_task(TaskType::kSeqCls, options_, no_config());
      const std::string message = error_of([&] { prepare(communicator, *task, mine, limits_); });
      for (const char* part : {"the ranks read different files: rank 1", has}) {
        EXPECT_NE(message.find(part), std::string::npos) << message;
      }
    });
  }
}

TEST(HashOf, SeesEveryNumberAndNothingElse) {
  const std::vector<Example> rows = {{{1, 2, 3}, {0, 0, 1}, {4}}, {{5}, {0}, {6}}};
  const auto hash = [](const std::vector<Example>& rows) { return hash_of(store_of(rows)); };
  const std::string expected = hash(rows);
  EXPECT_EQ(hash(rows), expected);
  EXPECT_EQ(expected.size(), 16);
  for (const auto& change : std::vector<std::function<void(std::vector<Example>&)>>{
           [](auto& r) { r[0].input_ids[2] = 4; }, [](auto& r) { r[1].token_type_ids[0] = 1; },
           [](auto& r) { r[1].labels[0] = 7; }, [](auto& r) { r.pop_back(); },
           [](auto& r) { r[0].values = {1.5F}; },
           [](auto& r) { r[0].input_ids.pop_back(), r[0].token_type_ids.pop_back(); },
           [](auto& r) { std::swap(r[0].labels, r[1].labels); }}) {
    auto changed = rows;
    change(changed);
    EXPECT_NE(hash(changed), expected);
  }
  TokenStore store = store_of(rows);
  store.label_names = {"a", "b"};
  const std::string named = hash_of(store);
  EXPECT_NE(named, expected);
  store.label_names = {"ab", ""};
  EXPECT_NE(hash_of(store), named);
  store.truncated_rows = 1;
  store.label_names.clear();
  EXPECT_NE(hash_of(store), expected);
}

}  // namespace
}  // namespace rankwise
