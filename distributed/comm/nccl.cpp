// The NCCL backend, and the only file that knows NCCL and CUDA. Both libraries are opened when
// first needed: one binary then runs with and without GPUs, and there is one file to install where
// a plugin would be two. NCCL user guide: "Creating a communicator with options", "Asynchronous
// errors and error handling".
#include "distributed/comm/nccl.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <nccl.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>

#include "distributed/comm/agree.h"
#include "distributed/comm/tensors.h"
#include "distributed/comm/versions.h"
#include "distributed/comm/wait.h"

namespace rankwise {
namespace {

// The functions of both libraries that are used here, each under its own name.
struct Functions {
  decltype(&::cudaGetDeviceCount) cudaGetDeviceCount;
  decltype(&::cudaSetDevice) cudaSetDevice;
  decltype(&::cudaStreamCreate) cudaStreamCreate;
  decltype(&::cudaStreamQuery) cudaStreamQuery;
  decltype(&::cudaStreamDestroy) cudaStreamDestroy;
  cudaError_t (*cudaMalloc)(void**, size_t);
  decltype(&::cudaFree) cudaFree;
  decltype(&::cudaGetErrorString) cudaGetErrorString;
  decltype(&::ncclGetVersion) ncclGetVersion;
  decltype(&::ncclGetUniqueId) ncclGetUniqueId;
  decltype(&::ncclCommInitRankConfig) ncclCommInitRankConfig;
  decltype(&::ncclCommGetAsyncError) ncclCommGetAsyncError;
  decltype(&::ncclCommDestroy) ncclCommDestroy;
  decltype(&::ncclCommAbort) ncclCommAbort;
  decltype(&::ncclGetErrorString) ncclGetErrorString;
  decltype(&::ncclGetLastError) ncclGetLastError;
  decltype(&::ncclAllReduce) ncclAllReduce;
  decltype(&::ncclBroadcast) ncclBroadcast;
  decltype(&::ncclAllGather) ncclAllGather;

  std::string problem;  // why they cannot be called; empty when they can
};

class Opener {
 public:
  Opener(const std::string& file, std::string& problem)
      : file_(file), library_(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)), problem_(problem) {
    if (library_ == nullptr && problem_.empty()) problem_ = dlerror();
  }
  template <class Function>
  Opener& find(Function*& function, const char* name) {
    if (library_ == nullptr) return *this;
    function = reinterpret_cast<Function*>(dlsym(library_, name));
    if (function == nullptr && problem_.empty())
      problem_ = fmt::format("{} has no {}", file_, name);
    return *this;
  }

 private:
  std::string file_;
  void* library_;  // stays open until the process ends
  std::string& problem_;
};

Functions open_functions() {
  Functions f{};
  Opener(fmt::format("libcudart.so.{}", CUDART_VERSION / 1000), f.problem)
      .find(f.cudaGetDeviceCount, "cudaGetDeviceCount")
      .find(f.cudaSetDevice, "cudaSetDevice")
      .find(f.cudaStreamCreate, "cudaStreamCreate")
      .find(f.cudaStreamQuery, "cudaStreamQuery")
      .find(f.cudaStreamDestroy, "cudaStreamDestroy")
      .find(f.cudaMalloc, "cudaMalloc")
      .find(f.cudaFree, "cudaFree")
      .find(f.cudaGetErrorString, "cudaGetErrorString");
  Opener(fmt::format("libnccl.so.{}", NCCL_MAJOR), f.problem)
      .find(f.ncclGetVersion, "ncclGetVersion")
      .find(f.ncclGetUniqueId, "ncclGetUniqueId")
      .find(f.ncclCommInitRankConfig, "ncclCommInitRankConfig")
      .find(f.ncclCommGetAsyncError, "ncclCommGetAsyncError")
      .find(f.ncclCommDestroy, "ncclCommDestroy")
      .find(f.ncclCommAbort, "ncclCommAbort")
      .find(f.ncclGetErrorString, "ncclGetErrorString")
      .find(f.ncclGetLastError, "ncclGetLastError")
      .find(f.ncclAllReduce, "ncclAllReduce")
      .find(f.ncclBroadcast, "ncclBroadcast")
      .find(f.ncclAllGather, "ncclAllGather");
  return f;
}

const Functions& functions() {
  static const Functions opened = open_functions();
  return opened;
}

ncclDataType_t nccl_type(at::ScalarType type) {  // of the types that check_summable lets pass
  switch (type) {
    case at::kLong:
      return ncclInt64;
    case at::kInt:
      return ncclInt32;
    case at::kFloat:
      return ncclFloat32;
    default:
      return ncclFloat64;
  }
}

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::unique_ptr<Communicator> host, int device);
  ~NcclCommunicator() override { close(std::uncaught_exceptions() > 0); }

  const World& world() const override { return host_->world(); }
  const char* backend() const override { return "nccl"; }
  void sum(at::Tensor& values) override;
  void broadcast(at::Tensor& values, int from) override;
  at::Tensor all_gather(const at::Tensor& mine) override;
  void barrier() override;
  [[noreturn]] void abort(int exit_code) override {
    host_->abort(exit_code);
    std::abort();  // not reached
  }

 private:
  ncclUniqueId shared_id();
  void start(const ncclUniqueId& id);
  void close(bool at_once);
  Communicator& host();
  void check(ncclResult_t result, const char* what) const;
  void check(cudaError_t result, const char* what) const;
  void check_device(const at::Tensor& values, const char* collective) const;
  bool taken(const char* what) const;
  template <class Start>
  void complete(const char* collective, Start&& start);

  const Functions& api_ = functions();
  std::unique_ptr<Communicator> host_;
  int device_;
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  void* flag_ = nullptr;  // one int32 on the device, for barrier to sum
  int64_t calls_ = 0;
  std::optional<Error>
      failure_;  // of an earlier call; no later one can fit those of the other ranks
};

NcclCommunicator::NcclCommunicator(std::unique_ptr<Communicator> host, int device)
    : host_(std::move(host)), device_(device) {
  limit_waits(host_->hang_timeout_seconds());
  enter_phase("starting NCCL");
  try {
    together(*host_, phase(), [] {
      const std::string problem = nccl_unavailable();
      if (!problem.empty()) throw communication_error("{}", problem);
    });
    const ncclUniqueId id = shared_id();
    together(*host_, phase(), [&] { start(id); });
  } catch (...) {
    close(/*at_once=*/true);
    throw;
  }
}

ncclUniqueId NcclCommunicator::shared_id() {
  ncclUniqueId id{};
  together(*host_, phase(), [&] {
    if (world().rank == 0) check(api_.ncclGetUniqueId(&id), "ncclGetUniqueId");
  });
  const std::string text = broadcast_text(*host_, std::string(id.internal, sizeof id.internal));
  std::memcpy(id.internal, text.data(), sizeof id.internal);
  return id;
}

void NcclCommunicator::start(const ncclUniqueId& id) {
  check(api_.cudaSetDevice(device_), "cudaSetDevice");
  // Ordered after and before the legacy default stream, where LibTorch computes.
  check(api_.cudaStreamCreate(&stream_), "cudaStreamCreate");
  check(api_.cudaMalloc(&flag_, sizeof(int32_t)), "cudaMalloc");
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const char* call = "ncclCommInitRankConfig";
  check(api_.ncclCommInitRankConfig(&comm_, world().ranks, id, world().rank, &config), call);
  wait_until(*this, {call, ++calls_}, [&] { return taken(call); });
}

// ncclCommDestroy flushes together with the other ranks; at_once does not count on them.
void NcclCommunicator::close(bool at_once) {
  if (comm_ != nullptr) at_once ? api_.ncclCommAbort(comm_) : api_.ncclCommDestroy(comm_);
  if (flag_ != nullptr) api_.cudaFree(flag_);
  if (stream_ != nullptr) api_.cudaStreamDestroy(stream_);
  comm_ = nullptr, flag_ = nullptr, stream_ = nullptr;
}

Communicator& NcclCommunicator::host() {
  host_->limit_waits(hang_timeout_seconds());
  host_->enter_phase(phase());
  return *host_;
}

void NcclCommunicator::check(ncclResult_t result, const char* what) const {
  if (result == ncclSuccess || result == ncclInProgress) return;
  const World& w = world();
  throw communication_error("{} on rank {} of {}, host {}: {} ({}; phase: {})", what, w.rank,
                            w.ranks, w.hosts[w.rank], api_.ncclGetErrorString(result),
                            api_.ncclGetLastError(comm_), phase());
}

void NcclCommunicator::check(cudaError_t result, const char* what) const {
  if (result == cudaSuccess || result == cudaErrorNotReady) return;
  const World& w = world();
  throw communication_error("{} on rank {} of {}, host {}, device {}: {} (phase: {})", what, w.rank,
                            w.ranks, w.hosts[w.rank], device_, api_.cudaGetErrorString(result),
                            phase());
}

void NcclCommunicator::check_device(const at::Tensor& values, const char* collective) const {
  if (values.get_device() != device_) {
    throw internal_error("{}: the tensor is on {}, the communicator on cuda:{}", collective,
                         values.device().str(), device_);
  }
}

// Whether NCCL has taken the last call in; errors of any earlier one come to light here too.
bool NcclCommunicator::taken(const char* what) const {
  ncclResult_t state = ncclSuccess;
  check(api_.ncclCommGetAsyncError(comm_, &state), what);
  check(state, what);
  return state == ncclSuccess;
}

template <class Start>
void NcclCommunicator::complete(const char* collective, Start&& start) {
  if (failure_) throw Error(*failure_);
  const Call call{collective, ++calls_};
  try {
    check(start(), collective);
    wait_until(*this, call, [&] { return taken(collective); });
    wait_until(*this, call, [&] {
      const cudaError_t state = api_.cudaStreamQuery(stream_);
      check(state, collective);
      return taken(collective) && state == cudaSuccess;
    });
  } catch (const Error& error) {
    failure_ = error;
    close(/*at_once=*/true);
    throw;
  }
}

void NcclCommunicator::sum(at::Tensor& values) {
  check_summable(values);
  if (values.is_cpu()) return host().sum(values);
  check_device(values, "sum");
  complete("sum", [&] {
    return api_.ncclAllReduce(values.data_ptr(), values.data_ptr(), values.numel(),
                              nccl_type(values.scalar_type()), ncclSum, comm_, stream_);
  });
}

void NcclCommunicator::broadcast(at::Tensor& values, int from) {
  check_contiguous(values, "broadcast");
  check_source(from, world().ranks);
  if (values.is_cpu()) return host().broadcast(values, from);
  check_device(values, "broadcast");
  complete("broadcast", [&] {
    return api_.ncclBroadcast(values.data_ptr(), values.data_ptr(), values.nbytes(), ncclUint8,
                              from, comm_, stream_);
  });
}

at::Tensor NcclCommunicator::all_gather(const at::Tensor& mine) {
  check_contiguous(mine, "all_gather");
  if (mine.is_cpu()) return host().all_gather(mine);
  check_device(mine, "all_gather");
  at::Tensor all = empty_gathered(mine, world().ranks);
  complete("all_gather", [&] {
    return api_.ncclAllGather(mine.data_ptr(), all.data_ptr(), mine.nbytes(), ncclUint8, comm_,
                              stream_);
  });
  return all;
}

void NcclCommunicator::barrier() {
  complete("barrier",
           [&] { return api_.ncclAllReduce(flag_, flag_, 1, ncclInt32, ncclSum, comm_, stream_); });
}

}  // namespace

int cuda_devices() {
  int devices = 0;
  const Functions& api = functions();
  if (api.cudaGetDeviceCount == nullptr) return 0;
  return api.cudaGetDeviceCount(&devices) == cudaSuccess ? devices : 0;
}

std::string nccl_unavailable() {
  if (!functions().problem.empty()) return functions().problem;
  return cuda_devices() == 0 ? "no CUDA device is visible" : "";
}

std::string nccl_version() {
  int version = NCCL_VERSION_CODE;  // of the headers, where there is no library
  if (functions().ncclGetVersion != nullptr) functions().ncclGetVersion(&version);
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::unique_ptr<Communicator> nccl_communicator(std::unique_ptr<Communicator> host, int device) {
  return std::make_unique<NcclCommunicator>(std::move(host), device);
}

}  // namespace rankwise
