// Texts and errors over a Communicator's tensors.
#include "distributed/comm/agree.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <cstring>

namespace rankwise {
namespace {

std::vector<int64_t> gather_numbers(Communicator& communicator, int64_t mine) {
  const at::Tensor all = communicator.all_gather(at::full({}, mine, at::kLong));
  return {all.data_ptr<int64_t>(), all.data_ptr<int64_t>() + all.numel()};
}

}  // namespace

std::string broadcast_text(Communicator& communicator, std::string text, int from) {
  at::Tensor size = at::full({}, static_cast<int64_t>(text.size()), at::kLong);
  communicator.broadcast(size, from);
  at::Tensor bytes = at::empty({*size.data_ptr<int64_t>()}, at::kByte);
  if (communicator.world().rank == from) std::memcpy(bytes.data_ptr(), text.data(), text.size());
  communicator.broadcast(bytes, from);
  return {static_cast<const char*>(bytes.data_ptr()), static_cast<size_t>(bytes.numel())};
}

std::vector<std::string> gather_texts(Communicator& communicator, const std::string& mine) {
  const auto sizes = gather_numbers(communicator, static_cast<int64_t>(mine.size()));
  const int64_t longest = *std::max_element(sizes.begin(), sizes.end());
  at::Tensor padded = at::full({longest}, 0, at::kByte);
  std::memcpy(padded.data_ptr(), mine.data(), mine.size());
  const at::Tensor all = communicator.all_gather(padded);  // [ranks, longest]
  const auto* bytes = static_cast<const char*>(all.data_ptr());
  std::vector<std::string> texts;
  for (size_t rank = 0; rank < sizes.size(); ++rank) {
    texts.emplace_back(bytes + rank * longest, sizes[rank]);
  }
  return texts;
}

void agree(Communicator& communicator, const std::optional<Error>& mine) {
  if (mine && mine->agreed()) throw *mine;  // so do all ranks
  const auto kinds = gather_numbers(communicator, mine ? mine->exit_code() : 0);
  const auto failed = std::find_if(kinds.begin(), kinds.end(), [](int64_t k) { return k != 0; });
  if (failed == kinds.end()) return;
  const int rank = static_cast<int>(failed - kinds.begin());
  std::string message = broadcast_text(communicator, mine ? mine->what() : "", rank);
  const std::string hint = broadcast_text(communicator, mine ? mine->hint() : "", rank);
  const World& world = communicator.world();
  if (world.ranks > 1) message += fmt::format(" (rank {} on host {})", rank, world.hosts[rank]);
  throw Error(static_cast<ErrorKind>(*failed), message, hint).as_agreed();
}

}  // namespace rankwise
