// The MPI backend, and the only file that knows MPI. Every collective is a nonblocking MPI call
// inside the wait loop of wait.h, so a lost rank is noticed and MPI_THREAD_FUNNELED suffices. MPI
// standard 3.1, chapters 5 and 8.
#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "distributed/comm/agree.h"
#include "distributed/comm/communicator.h"
#include "distributed/comm/mpi_check.h"
#include "distributed/comm/mpi_mailbox.h"
#include "distributed/comm/tensors.h"
#include "distributed/comm/versions.h"
#include "distributed/comm/wait.h"
#include "distributed/comm/world.h"
#include "distributed/memory/node_memory.h"
#include "distributed/watch/roll_call.h"

namespace rankwise {
namespace {

// Open MPI's own choice is a binomial tree there and back, which carries all bytes log2(ranks)
// times each way; 3 is Rabenseifner's halving and doubling: twice the bytes at any rank count. Who
// sets the variable is heeded; other libraries do not know it.
void ask_for_halving() { setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0); }

MPI_Datatype mpi_type(at::ScalarType type) {  // of the types that check_summable lets pass
  switch (type) {
    case at::kLong:
      return MPI_INT64_T;
    case at::kInt:
      return MPI_INT32_T;
    case at::kFloat:
      return MPI_FLOAT;
    default:
      return MPI_DOUBLE;
  }
}

// `bytes` bytes that repeat every `stride` bytes: a rank's chunk inside the result of an
// all_gather.
class StridedBytes {
 public:
  StridedBytes(int bytes, int64_t stride) {
    MPI_Datatype plain;
    check_mpi(MPI_Type_contiguous(bytes, MPI_BYTE, &plain), "MPI_Type_contiguous");
    check_mpi(MPI_Type_create_resized(plain, 0, stride, &type_), "MPI_Type_create_resized");
    check_mpi(MPI_Type_free(&plain), "MPI_Type_free");
    check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
  }
  ~StridedBytes() { MPI_Type_free(&type_); }
  StridedBytes(const StridedBytes&) = delete;
  StridedBytes& operator=(const StridedBytes&) = delete;
  MPI_Datatype type() const { return type_; }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(int64_t chunk_bytes);
  MpiCommunicator(const MpiCommunicator& whole, MPI_Comm comm, World world);
  ~MpiCommunicator() override {
    be_watched(nullptr);
    if (*stuck_) return;  // MPI would wait for the ranks that are lost
    comm_ == MPI_COMM_WORLD ? MPI_Finalize() : MPI_Comm_free(&comm_);
  }

  const World& world() const override { return world_; }
  const char* backend() const override { return "mpi"; }
  void sum(at::Tensor& values) override;
  void broadcast(at::Tensor& values, int from) override;
  at::Tensor all_gather(const at::Tensor& mine) override;
  void barrier() override;
  std::unique_ptr<Communicator> split(int group) override;
  [[noreturn]] void abort(int exit_code) override;

 private:
  void watch(std::shared_ptr<RollCall> whole);
  Call next(const char* collective);
  template <class Start>
  void complete(const Call& call, std::vector<at::Tensor> buffers, Start&& start);
  template <class Each>
  void in_chunks(int64_t elements, int64_t element_bytes, Each&& each) const;

  // A wait that failed: MPI may still write to the buffers, and no later call can fit those of the
  // other ranks.
  struct Stuck {
    Error error;
    std::vector<at::Tensor> buffers;
  };

  MPI_Comm comm_ = MPI_COMM_WORLD;
  World world_;
  int64_t chunk_bytes_;
  int64_t calls_ = 0;
  std::shared_ptr<std::optional<Stuck>> stuck_ = std::make_shared<std::optional<Stuck>>();
};

MpiCommunicator::MpiCommunicator(const MpiCommunicator& whole, MPI_Comm comm, World world)
    : comm_(comm),
      world_(std::move(world)),
      chunk_bytes_(whole.chunk_bytes_),
      stuck_(whole.stuck_) {
  limit_waits(whole.hang_timeout_seconds());
  watch(whole.roll_call());
}

MpiCommunicator::MpiCommunicator(int64_t chunk_bytes) : chunk_bytes_(chunk_bytes) {
  ask_for_halving();
  int provided = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  if (provided < MPI_THREAD_FUNNELED) {
    throw communication_error("this MPI library does not support MPI_THREAD_FUNNELED");
  }
  int rank = 0, ranks = 0, length = 0;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &ranks), "MPI_Comm_size");
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  check_mpi(MPI_Get_processor_name(name.data(), &length), "MPI_Get_processor_name");
  const std::string host(name.data(), length);

  // A node is known by the first of the ranks that share memory, and by its name: containers on one
  // machine share memory, but may not see each other's processes.
  MPI_Comm sharing;
  check_mpi(
      MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &sharing),
      "MPI_Comm_split_type");
  int first = rank;
  check_mpi(MPI_Bcast(&first, 1, MPI_INT, 0, sharing), "MPI_Bcast");
  check_mpi(MPI_Comm_free(&sharing), "MPI_Comm_free");

  // Enough of a world for the two collectives that fill it in.
  world_.rank = rank;
  world_.ranks = ranks;
  world_.hosts.assign(ranks, host);
  const auto hosts = gather_texts(*this, host);
  world_ = make_world(rank, hosts, gather_texts(*this, fmt::format("{} {}", first, host)));
  watch(nullptr);
}

// Calls are numbered from here.
void MpiCommunicator::watch(std::shared_ptr<RollCall> whole) {
  const auto memory = NodeMemory::writable(*this, StatusBoard::bytes(world_.ranks));
  be_watched(std::make_shared<RollCall>(world_,
                                        StatusBoard(memory->writable_bytes(), memory, world_.rank),
                                        mpi_mailbox(comm_), std::move(whole)));
  enter_phase("start");
  calls_ = 0;
}

Call MpiCommunicator::next(const char* collective) {
  if (*stuck_) throw(*stuck_)->error;
  return {collective, ++calls_};
}

template <class Start>
void MpiCommunicator::complete(const Call& call, std::vector<at::Tensor> buffers, Start&& start) {
  try {
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(start(&request), call.collective);
    wait_until(*this, call, [&] {
      int done = 0;
      check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), call.collective);
      return done != 0;
    });
  } catch (const Error& error) {
    *stuck_ = Stuck{error, std::move(buffers)};
    throw;
  }
}

// Counts of MPI calls are ints: calls each(first element, count) for pieces of at most
// chunk_bytes_.
template <class Each>
void MpiCommunicator::in_chunks(int64_t elements, int64_t element_bytes, Each&& each) const {
  const int64_t chunk = std::max<int64_t>(1, chunk_bytes_ / element_bytes);
  for (int64_t begin = 0; begin < elements; begin += chunk) {
    each(begin, static_cast<int>(std::min(chunk, elements - begin)));
  }
}

std::byte* byte_address(const at::Tensor& values, int64_t offset) {
  return static_cast<std::byte*>(values.data_ptr()) + offset;
}

void MpiCommunicator::sum(at::Tensor& values) {
  check_summable(values);
  check_on_cpu(values, "sum");
  const Call call = next("sum");
  const int64_t size = values.element_size();
  in_chunks(values.numel(), size, [&](int64_t begin, int count) {
    complete(call, {values}, [&](MPI_Request* request) {
      return MPI_Iallreduce(MPI_IN_PLACE, byte_address(values, begin * size), count,
                            mpi_type(values.scalar_type()), MPI_SUM, comm_, request);
    });
  });
}

void MpiCommunicator::broadcast(at::Tensor& values, int from) {
  check_contiguous(values, "broadcast");
  check_on_cpu(values, "broadcast");
  check_source(from, world_.ranks);
  const Call call = next("broadcast");
  in_chunks(static_cast<int64_t>(values.nbytes()), 1, [&](int64_t begin, int count) {
    complete(call, {values}, [&](MPI_Request* request) {
      return MPI_Ibcast(byte_address(values, begin), count, MPI_BYTE, from, comm_, request);
    });
  });
}

at::Tensor MpiCommunicator::all_gather(const at::Tensor& mine) {
  check_contiguous(mine, "all_gather");
  check_on_cpu(mine, "all_gather");
  const Call call = next("all_gather");
  const int64_t bytes = static_cast<int64_t>(mine.nbytes());
  at::Tensor all = empty_gathered(mine, world_.ranks);
  in_chunks(bytes, 1, [&](int64_t begin, int count) {
    const StridedBytes chunk(count, bytes);
    complete(call, {mine, all}, [&](MPI_Request* request) {
      return MPI_Iallgather(byte_address(mine, begin), count, MPI_BYTE, byte_address(all, begin), 1,
                            chunk.type(), comm_, request);
    });
  });
  return all;
}

void MpiCommunicator::barrier() {
  complete(next("barrier"), {}, [&](MPI_Request* request) { return MPI_Ibarrier(comm_, request); });
}

std::unique_ptr<Communicator> MpiCommunicator::split(int group) {
  World world = group_world(world_, gather_groups(*this, group));
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(comm_, group, world_.rank, &comm), "MPI_Comm_split");
  check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return std::make_unique<MpiCommunicator>(*this, comm, std::move(world));
}

void MpiCommunicator::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::abort();  // MPI_Abort does not return
}

}  // namespace

std::string mpi_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return "unknown";
  const std::string version(text.data(), length);  // may go on for lines
  return version.substr(0, version.find_first_of(",\n"));
}

std::unique_ptr<Communicator> mpi_communicator(int64_t chunk_bytes) {
  int started = 0;
  MPI_Initialized(&started);
  if (started) throw internal_error("MPI can be started only once in a process");
  return std::make_unique<MpiCommunicator>(chunk_bytes);
}

}  // namespace rankwise
