// Flattens rows, gathers them piece by piece, and lays them out in row order in the node's memory.
#include "data/gather_store.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>
#include <type_traits>

#include "data/flat_examples.h"
#include "distributed/comm/agree.h"
#include "distributed/memory/node_memory.h"

namespace rankwise {
namespace {

constexpr int64_t kGatheredNumbers = int64_t{1} << 24;  // of all ranks together, at a time

// What each rank brings, and the sums.
struct Sizes {
  std::vector<int64_t> rows, examples, tokens, labels, values;  // [ranks]
  int64_t all_rows = 0, all_examples = 0, all_tokens = 0, all_labels = 0, all_values = 0;
  int64_t truncated_rows = 0;
  int64_t stored_examples = 0;  // blocks, where there are some
  bool have_types = false, one_each = true;
  int64_t type_tokens() const { return have_types ? all_tokens : 0; }
  int64_t row_offsets() const { return one_each ? 0 : all_rows + 1; }
};

Sizes gather_sizes(Communicator& communicator, const FlatExamples& flat) {
  constexpr int64_t kNumbers = 8;
  at::Tensor mine = at::zeros({kNumbers}, at::kLong);
  int64_t* number = mine.mutable_data_ptr<int64_t>();
  number[0] = std::ssize(flat.row_examples);
  number[1] = std::ssize(flat.ids);
  number[2] = std::ssize(flat.labels);
  number[3] = std::ssize(flat.types);
  number[4] = flat.truncated_rows;
  number[5] = std::ssize(flat.values);
  number[6] = std::ssize(flat.lengths);
  number[7] = std::ranges::count(flat.row_examples, 1);
  const at::Tensor all = communicator.all_gather(mine);
  Sizes sizes;
  for (int rank = 0; rank < communicator.world().ranks; ++rank) {
    const int64_t* of_rank = all.const_data_ptr<int64_t>() + rank * kNumbers;
    sizes.rows.push_back(of_rank[0]);
    sizes.tokens.push_back(of_rank[1]);
    sizes.labels.push_back(of_rank[2]);
    sizes.all_rows += of_rank[0];
    sizes.all_tokens += of_rank[1];
    sizes.all_labels += of_rank[2];
    sizes.have_types |= of_rank[3] > 0;
    sizes.truncated_rows += of_rank[4];
    sizes.values.push_back(of_rank[5]);
    sizes.all_values += of_rank[5];
    sizes.examples.push_back(of_rank[6]);
    sizes.all_examples += of_rank[6];
    sizes.one_each &= of_rank[7] == of_rank[0];
  }
  return sizes;
}

// Collective. Every rank's numbers, kept where `keep` says so; elsewhere the lists are empty.
template <class T>
std::vector<std::vector<T>> gather(Communicator& communicator, const std::vector<T>& mine,
                                   const std::vector<int64_t>& sizes, bool keep) {
  constexpr auto type = c10::CppTypeToScalarType<T>::value;
  const int64_t longest = *std::max_element(sizes.begin(), sizes.end());
  const int64_t piece = std::max<int64_t>(1, kGatheredNumbers / std::ssize(sizes));
  std::vector<std::vector<T>> all(sizes.size());
  for (int64_t start = 0; start < longest; start += piece) {
    const int64_t width = std::min(piece, longest - start);
    const auto count_of = [&](int64_t size) { return std::clamp<int64_t>(size - start, 0, width); };
    at::Tensor part = at::zeros({width}, type);
    std::copy_n(mine.data() + std::min(start, std::ssize(mine)), count_of(std::ssize(mine)),
                part.mutable_data_ptr<T>());
    const at::Tensor parts = communicator.all_gather(part);  // [ranks, width]
    if (!keep) continue;
    for (size_t rank = 0; rank < sizes.size(); ++rank) {
      const T* first = parts.const_data_ptr<T>() + static_cast<int64_t>(rank) * width;
      all[rank].insert(all[rank].end(), first, first + count_of(sizes[rank]));
    }
  }
  return all;
}

// The arrays of a store inside one block of memory; Byte is std::byte or const std::byte.
template <class Byte>
struct Arrays {
  template <class T>
  using Span = std::span<std::conditional_t<std::is_const_v<Byte>, const T, T>>;

  Arrays(Byte* at, const Sizes& sizes)
      : row_offsets(take<int64_t>(at, sizes.row_offsets())),
        offsets(take<int64_t>(at, sizes.stored_examples + 1)),
        label_offsets(take<int64_t>(at, sizes.stored_examples + 1)),
        ids(take<int32_t>(at, sizes.all_tokens)),
        types(take<int32_t>(at, sizes.type_tokens())),
        labels(take<int32_t>(at, sizes.all_labels)),
        values(take<float>(at, sizes.all_values)) {}

  Span<int64_t> row_offsets, offsets, label_offsets;
  Span<int32_t> ids, types, labels;
  Span<float> values;

 private:
  template <class T>
  static Span<T> take(Byte*& at, int64_t count) {
    const Span<T> taken(reinterpret_cast<typename Span<T>::pointer>(at),
                        static_cast<size_t>(count));
    at += taken.size_bytes();
    return taken;
  }
};

size_t bytes_of(const Sizes& sizes) {
  return static_cast<size_t>(sizes.row_offsets() + 2 * (sizes.stored_examples + 1)) *
             sizeof(int64_t) +
         static_cast<size_t>(sizes.all_tokens + sizes.type_tokens() + sizes.all_labels) *
             sizeof(int32_t) +
         static_cast<size_t>(sizes.all_values) * sizeof(float);
}

using ByRank = std::vector<std::vector<int64_t>>;

// Puts what the ranks brought into row order. counts: numbers of each example, by rank; rows: how
// many examples each row became.
class InRowOrder {
 public:
  InRowOrder(const ByRank& counts, const ByRank& rows, int64_t all_rows)
      : counts_(counts), row_examples_(rows), rows_(all_rows) {}

  void offsets(std::span<int64_t> out) const {
    int64_t sum = 0;
    size_t at = 0;
    out[at] = 0;
    each_block([&](size_t rank, std::span<const int64_t> counts) {
      for (const int64_t count : counts) out[++at] = sum += count;
    });
  }

  template <class T>
  void numbers(const std::vector<std::vector<T>>& by_rank, std::span<T> out) const {
    std::vector<size_t> taken(by_rank.size());
    size_t at = 0;
    each_block([&](size_t rank, std::span<const int64_t> counts) {
      const auto sum = static_cast<size_t>(std::reduce(counts.begin(), counts.end()));
      std::copy_n(by_rank[rank].begin() + static_cast<std::ptrdiff_t>(taken[rank]), sum,
                  out.begin() + static_cast<std::ptrdiff_t>(at));
      taken[rank] += sum;
      at += sum;
    });
  }

 private:
  template <class Visit>
  void each_block(const Visit& visit) const {
    std::vector<size_t> taken(counts_.size()), taken_rows(counts_.size());
    for (int64_t row = 0; row < rows_; row += kBlockRows) {
      const auto rank = static_cast<size_t>(rank_of_row(row, static_cast<int>(counts_.size())));
      const auto rows = static_cast<size_t>(std::min(kBlockRows, rows_ - row));
      const auto block = std::span(row_examples_[rank]).subspan(taken_rows[rank], rows);
      const auto examples = static_cast<size_t>(std::reduce(block.begin(), block.end()));
      visit(rank, std::span(counts_[rank]).subspan(taken[rank], examples));
      taken_rows[rank] += rows;
      taken[rank] += examples;
    }
  }

  const ByRank &counts_, &row_examples_;
  int64_t rows_;
};

ByRank ones_like(const ByRank& counts) {
  ByRank ones;
  for (const auto& of_rank : counts) ones.emplace_back(of_rank.size(), 1);
  return ones;
}

}  // namespace

TokenStore gather_store(Communicator& communicator, std::vector<EncodedRow> mine,
                        std::vector<std::string> label_names, std::optional<int64_t> block_size) {
  const World& world = communicator.world();
  FlatExamples flat;
  for (const EncodedRow& row : mine) flat.add(row);
  mine = {};
  Sizes sizes = gather_sizes(communicator, flat);
  if (sizes.have_types) flat.types.resize(flat.ids.size());
  if (block_size && sizes.all_labels != sizes.all_tokens)
    throw internal_error("{} labels of {} tokens in blocks", sizes.all_labels, sizes.all_tokens);
  sizes.stored_examples =
      block_size ? (sizes.all_tokens + *block_size - 1) / *block_size : sizes.all_examples;

  const bool keep = world.leads_node();
  const auto rows = gather(communicator, flat.row_examples, sizes.rows, keep);
  const auto lengths = gather(communicator, flat.lengths, sizes.examples, keep);
  const auto label_counts = gather(communicator, flat.label_counts, sizes.examples, keep);
  const auto ids = gather(communicator, flat.ids, sizes.tokens, keep);
  const auto labels = gather(communicator, flat.labels, sizes.labels, keep);
  const auto values = gather(communicator, flat.values, sizes.values, keep);
  std::vector<std::vector<int32_t>> types;
  if (sizes.have_types) types = gather(communicator, flat.types, sizes.tokens, keep);

  const auto memory =
      std::make_shared<NodeMemory>(communicator, bytes_of(sizes), [&](std::span<std::byte> bytes) {
        const Arrays<std::byte> out(bytes.data(), sizes);
        const InRowOrder by_tokens(lengths, rows, sizes.all_rows);
        const InRowOrder by_labels(label_counts, rows, sizes.all_rows);
        if (block_size) {
          for (const auto offsets : {out.offsets, out.label_offsets})
            std::ranges::copy(cut_blocks(sizes.all_tokens, *block_size), offsets.begin());
        } else {
          by_tokens.offsets(out.offsets);
          by_labels.offsets(out.label_offsets);
        }
        if (!sizes.one_each) {
          const ByRank ones = ones_like(rows);
          InRowOrder(rows, ones, sizes.all_rows).offsets(out.row_offsets);
        }
        by_tokens.numbers(ids, out.ids);
        if (sizes.all_labels > 0) by_labels.numbers(labels, out.labels);
        if (sizes.all_values > 0) by_labels.numbers(values, out.values);
        if (sizes.have_types) by_tokens.numbers(types, out.types);
      });

  const Arrays<const std::byte> arrays(memory->bytes().data(), sizes);
  TokenStore store;
  store.row_offsets = arrays.row_offsets;
  store.offsets = arrays.offsets;
  store.label_offsets = arrays.label_offsets;
  store.input_ids = arrays.ids;
  store.token_type_ids = arrays.types;
  store.labels = arrays.labels;
  store.values = arrays.values;
  store.label_names = std::move(label_names);
  store.truncated_rows = sizes.truncated_rows;
  store.owner = memory;
  store.identity = broadcast_text(communicator, world.rank == 0 ? hash_of(store) : "");
  return store;
}

}  // namespace rankwise
