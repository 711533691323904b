// metrics.jsonl: appended line by line; on resume cut back to what the checkpoint knows.
#include <fstream>

#include "distributed/core/error.h"
#include "jobs/training/append.h"
#include "jobs/training/report.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

// Steps only grow, so what stays is the file's beginning: whole lines of steps up to `step`, but
// for those of an end, which comes again.
uintmax_t bytes_to_keep(const fs::path& file, int64_t step) {
  std::ifstream in(file, std::ios::binary);
  uintmax_t keep = 0;
  for (std::string text;
       std::getline(in, text) && !in.eof();) {  // eof: no newline at the end, so half a line
    const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || line.contains("train_runtime")) break;
    const auto at = line.find("step");
    if (at != line.end() && at->is_number() && at->get<int64_t>() > step) break;
    keep += text.size() + 1;
  }
  return keep;
}

}  // namespace

MetricsFile::MetricsFile(fs::path file, std::optional<int64_t> resumed_at_step)
    : file_(std::move(file)) {
  append_to_file(file_, "");  // made now, so that an unwritable folder shows at the start
  std::error_code failure;
  fs::resize_file(file_, resumed_at_step ? bytes_to_keep(file_, *resumed_at_step) : 0, failure);
  if (failure) throw machine_error("{}: cannot cut: {}", file_.string(), failure.message());
}

void MetricsFile::write(const Json& line) {
  // dump() gives the shortest digits that read back equal, and null for NaN and infinity.
  append_to_file(file_, line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::vector<Json> read_metrics_file(const std::filesystem::path& file) {
  std::vector<Json> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    lines.push_back(parse_json(line, file.string(), ErrorKind::kModel));
  return lines;
}

}  // namespace rankwise
