// Hashes are compared, not the numbers: one word a rank travels.
#include "jobs/training/same_everywhere.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "distributed/comm/agree.h"
#include "distributed/core/hash.h"

namespace rankwise {

void expect_same_everywhere(Communicator& communicator, const at::Tensor& values,
                            const std::string& what) {
  Hash hash;
  hash.add(values.const_data_ptr(), values.nbytes());
  const std::vector<std::string> hashes =
      gather_texts(communicator, fmt::format("{:016x}", hash.value()));
  const auto equal_to = [&](const std::string& text) {
    return std::count(hashes.begin(), hashes.end(), text);
  };
  const std::string usual =
      *std::max_element(hashes.begin(), hashes.end(),
                        [&](const auto& a, const auto& b) { return equal_to(a) < equal_to(b); });
  const World& world = communicator.world();
  std::vector<std::string> others;
  for (size_t rank = 0; rank < hashes.size(); ++rank) {
    if (hashes[rank] != usual)
      others.push_back(fmt::format("rank {} on host {}", rank, world.hosts[rank]));
  }
  if (others.empty()) return;
  throw communication_error("{} on {} of {} ranks is not that of the others: {}", what,
                            others.size(), world.ranks, fmt::join(others, ", "))
      .as_agreed();
}

}  // namespace rankwise
