// collectives: every collective in every type and size, over the backend that the job was started
// with and over threads: time, bandwidth (as nccl-tests defines it), wrong elements.
#include <ATen/Parallel.h>

#include "distributed/comm/agree.h"
#include "distributed/comm/measure.h"
#include "jobs/job.h"
#include "jobs/options.h"
#include "peft/hub/json.h"

namespace rankwise {
namespace {

struct ElementType {
  const char* name;
  at::ScalarType type;
  bool summable;
};
constexpr ElementType kTypes[] = {
    {"int64", at::kLong, true},    {"int32", at::kInt, true},
    {"float32", at::kFloat, true}, {"float64", at::kDouble, true},
    {"uint8", at::kByte, false},   {"bfloat16", at::kBFloat16, false}};

const ElementType& type_named(const std::string& name) {
  for (const ElementType& type : kTypes)
    if (name == type.name) return type;
  throw usage_error("--types: '{}' is not one of int64, int32, float32, float64, uint8, bfloat16",
                    name);
}

struct TableRow {
  std::string backend, collective, type;
  int ranks;
  Measurement measured;
  std::optional<double> predicted_seconds;  // a sum's, on links of figures that are given
};

class Collectives : public Job {
 public:
  void declare(Fields& fields) override;
  Outcome run(JobContext& context, Fields& fields) override;

 private:
  std::vector<int64_t> sizes() const;  // of --min_bytes, by the factor, to --max_bytes
  std::vector<Probe> probes() const;   // errors: kUsage
  void measure_ranks(JobContext& context, const std::vector<Probe>& probes);
  void measure_threads(JobContext& context, const std::vector<Probe>& probes, int64_t ranks);
  void take(JobContext& context, const TableRow& row);

  MachineOptions machine_;
  int64_t min_bytes_ = 8, max_bytes_ = int64_t{256} << 20, step_factor_ = 4, iters_ = 5,
          warmup_iters_ = 1;
  std::vector<std::string> collectives_ = {"sum", "broadcast", "all_gather"};
  std::vector<std::string> types_ = {"int64", "int32", "float32", "float64", "uint8", "bfloat16"};
  std::vector<int64_t> thread_ranks_;
  LinkOptions link_;
  bool json_ = false;
  std::vector<TableRow> rows_;
  int64_t wrong_ = 0;
};

void Collectives::declare(Fields& fields) {
  fields.group("collectives");
  fields.add("min_bytes", min_bytes_, "smallest size; all_gather: of its result").at_least(8);
  fields.add("max_bytes", max_bytes_, "largest size").at_least(8);
  fields.add("step_factor", step_factor_, "from one size to the next").at_least(2);
  fields.add("iters", iters_, "timed calls of a row").at_least(1);
  fields.add("warmup_iters", warmup_iters_, "calls before them, checked too").at_least(0);
  fields.add("collectives", collectives_, "which: sum, broadcast, all_gather");
  fields.add("types", types_, "of elements; sum passes over uint8 and bfloat16");
  fields.add("thread_ranks", thread_ranks_,
             "also that many ranks as threads of the first process, one count after the other");
  link_.declare(fields, "none: sums are not predicted");
  fields.add("json", json_, "for machines");
  machine_.declare(fields);
}

std::vector<int64_t> Collectives::sizes() const {
  std::vector<int64_t> list = {min_bytes_};
  while (list.back() <= max_bytes_ / step_factor_) list.push_back(list.back() * step_factor_);
  if (list.back() < max_bytes_) list.push_back(max_bytes_);
  return list;
}

std::vector<Probe> Collectives::probes() const {
  if (max_bytes_ < min_bytes_)
    throw usage_error("--max_bytes {} is less than --min_bytes {}", max_bytes_, min_bytes_);
  for (int64_t ranks : thread_ranks_)
    if (ranks < 1 || ranks > 64) throw usage_error("--thread_ranks: {} is not 1 to 64", ranks);
  std::vector<Probe> list;
  for (const std::string& collective : collectives_) {
    if (collective != "sum" && collective != "broadcast" && collective != "all_gather")
      throw usage_error("--collectives: '{}' is not one of sum, broadcast, all_gather", collective);
    for (const std::string& name : types_) {
      const ElementType& type = type_named(name);
      if (collective == "sum" && !type.summable) continue;
      for (const int64_t bytes : sizes())
        list.push_back({collective, type.type, bytes, iters_, warmup_iters_});
    }
  }
  if (list.empty()) throw usage_error("--types: sum takes int64, int32, float32 and float64 only");
  return list;
}

std::string name_of(at::ScalarType wanted) {
  for (const ElementType& type : kTypes)
    if (type.type == wanted) return type.name;
  return at::toString(wanted);
}

void print_head(JobContext& context, bool predicted) {
  context.out << fmt::format("{:<8} {:>5} {:<10} {:<8} {:>12} {:>12} {:>9} {:>9} {:>8}{}\n",
                             "backend", "ranks", "collective", "type", "bytes", "µs", "alg GB/s",
                             "bus GB/s", "wrong", predicted ? " predicted µs" : "");
}

void print(JobContext& context, const TableRow& row) {
  const Measurement& m = row.measured;
  const std::string predicted =
      row.predicted_seconds ? fmt::format(" {:>12.1f}", *row.predicted_seconds * 1e6) : "";
  context.out << fmt::format(
                     "{:<8} {:>5} {:<10} {:<8} {:>12} {:>12.1f} {:>9.3f} {:>9.3f} {:>8}{}\n",
                     row.backend, row.ranks, row.collective, row.type, m.bytes, m.seconds * 1e6,
                     m.algorithm_bandwidth / 1e9, m.bus_bandwidth / 1e9, m.wrong, predicted)
              << std::flush;
}

Json as_json(const std::vector<TableRow>& rows, int64_t wrong) {
  Json list = Json::array();
  for (const TableRow& row : rows) {
    list.push_back({{"backend", row.backend},
                    {"ranks", row.ranks},
                    {"collective", row.collective},
                    {"type", row.type},
                    {"bytes", row.measured.bytes},
                    {"seconds", row.measured.seconds},
                    {"algorithm_bandwidth", row.measured.algorithm_bandwidth},
                    {"bus_bandwidth", row.measured.bus_bandwidth},
                    {"wrong_elements", row.measured.wrong}});
    if (row.predicted_seconds) list.back()["predicted_seconds"] = *row.predicted_seconds;
  }
  return {{"rows", list}, {"wrong_elements", wrong}};
}

void Collectives::take(JobContext& context, const TableRow& row) {
  rows_.push_back(row);
  wrong_ += row.measured.wrong;
  if (!json_) print(context, row);
}

void Collectives::measure_ranks(JobContext& context, const std::vector<Probe>& probes) {
  Communicator& communicator = context.communicator;
  const World& world = communicator.world();
  communicator.enter_phase("measuring collectives");
  const bool on_gpu = std::string_view(communicator.backend()) == "nccl";
  for (const Probe& probe : probes) {
    const Measurement measured = measure(communicator, probe, on_gpu ? context.device : at::kCPU);
    TableRow row{communicator.backend(), probe.collective, name_of(probe.type), world.ranks,
                 measured};
    if (const std::optional<Link> link = link_.link(); link && probe.collective == "sum")
      row.predicted_seconds =
          ReductionModel{{}, *link}.seconds({world.ranks, world.nodes}, measured.bytes);
    take(context, row);
  }
}

// Threads of the first process; the other processes wait after each row.
void Collectives::measure_threads(JobContext& context, const std::vector<Probe>& probes,
                                  int64_t ranks) {
  for (const Probe& probe : probes) {
    Measurement measured;
    together(context.communicator, "measuring collectives over threads", [&] {
      if (context.communicator.world().rank != 0) return;
      run_as_threads(static_cast<int>(ranks), [&](Communicator& threads) {
        const Measurement here = measure(threads, probe);
        if (threads.world().rank == 0) measured = here;
      });
    });
    take(context,
         {"threads", probe.collective, name_of(probe.type), static_cast<int>(ranks), measured});
  }
}

Outcome Collectives::run(JobContext& context, Fields&) {
  context.communicator.limit_waits(machine_.hang_timeout);
  at::set_num_threads(static_cast<int>(machine_.threads.value_or(context.default_threads)));
  std::vector<Probe> probes;
  together(context.communicator, "checking the options", [&] {
    probes = this->probes();
    link_.link();
  });
  if (!json_) print_head(context, link_.link().has_value());
  measure_ranks(context, probes);
  for (const int64_t ranks : thread_ranks_) measure_threads(context, probes, ranks);
  if (json_) context.out << pretty(as_json(rows_, wrong_)) << std::endl;
  together(context.communicator, "checking collectives", [&] {
    if (wrong_ > 0) throw communication_error("{} elements are wrong: see the table", wrong_);
  });
  return Outcome::kDone;
}

}  // namespace

std::unique_ptr<Job> make_collectives() { return std::make_unique<Collectives>(); }

}  // namespace rankwise
