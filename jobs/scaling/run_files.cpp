// A run's plan is made again, to know what each rank was dealt.
#include "jobs/scaling/run_files.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "distributed/core/hash.h"
#include "jobs/training/report.h"

namespace rankwise {

namespace fs = std::filesystem;

TimedUpdates timed_updates(const fs::path& folder, const Plan& plan, const NodeLayout& layout,
                           int64_t warmup_updates) {
  TimedUpdates timed;
  for (const Json& line : read_metrics_file(folder / "metrics.jsonl")) {
    if (!line.contains("update_seconds")) continue;
    timed.reduction_bytes = line.at("reduction_bytes");
    const int64_t number = line.at("step").get<int64_t>() - 1;
    if (number < warmup_updates) continue;
    const std::vector<int64_t> loads =
        Plan::loads(plan.update(number).units, static_cast<int>(layout.ranks));
    const double took = line.at("update_seconds");
    timed.seconds += took;
    timed.communication_seconds += took * line.at("communication_share").get<double>();
    timed.tokens += std::accumulate(loads.begin(), loads.end(), int64_t{0});
    timed.updates.push_back({layout, *std::max_element(loads.begin(), loads.end()), took});
  }
  return timed;
}

std::string hash_of_adapter(const fs::path& folder) {
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") files.insert(entry.path());
  }
  Hash hash;
  for (const fs::path& file : files) {
    const std::string bytes = read_text_file(file, ErrorKind::kMachine);
    hash.add(bytes.data(), bytes.size());
  }
  return fmt::format("{:016x}", hash.value());
}

}  // namespace rankwise
