// The NCCL backend, and the only file that knows NCCL. It and the CUDA runtime are opened when
// first needed: one binary then runs with and without GPUs, and there is one file to install where
// a plugin would be two. NCCL user guide: "Creating a communicator with options", "Asynchronous
// errors and error handling".
#include "distributed/comm/nccl.h"

#include <ATen/ops/zeros.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <nccl.h>

#include <algorithm>
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
  decltype(&::cudaMemcpy) cudaMemcpy;
  decltype(&::cudaDeviceGetPCIBusId) cudaDeviceGetPCIBusId;
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
      .find(f.cudaMemcpy, "cudaMemcpy")
      .find(f.cudaDeviceGetPCIBusId, "cudaDeviceGetPCIBusId")
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
  ~NcclCommunicator() override {
    be_watched(nullptr);  // which belongs to the host's communicator
    close(std::uncaught_exceptions() > 0);
  }

  const World& world() const override { return host_->world(); }
  const char* backend() const override { return "nccl"; }
  void sum(at::Tensor& values) override;
  void broadcast(at::Tensor& values, int from) override;
  at::Tensor all_gather(const at::Tensor& mine) override;
  void barrier() override;
  std::unique_ptr<Communicator> split(int group) override {
    return nccl_communicator(host_->split(group), device_);
  }
  [[noreturn]] void abort(int exit_code) override { host_->abort(exit_code), std::abort(); }

 private:
  ncclUniqueId shared_id();
  void start(const ncclUniqueId& id);
  void close(bool at_once);
  void check(ncclResult_t result, const char* what) const;
  void check(cudaError_t result, const char* what) const;
  bool taken(const char* what) const;
  template <class Start>
  void complete(const char* collective, Start&& start);
  template <class Start>
  void run(const char* collective, const at::Tensor& in, size_t in_at, at::Tensor& out,
           Start&& start);
  void reserve(size_t bytes);

  const Functions& api_ = functions();
  std::unique_ptr<Communicator> host_;
  int device_;
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  char* staged_ = nullptr;  // on the device: what tensors on the CPU are copied to
  size_t staged_bytes_ = 0;
  int64_t calls_ = 0;
  std::optional<Error>
      failure_;  // of an earlier call; no later one can fit those of the other ranks
};

NcclCommunicator::NcclCommunicator(std::unique_ptr<Communicator> host, int device)
    : host_(std::move(host)), device_(device) {
  limit_waits(host_->hang_timeout_seconds());
  be_watched(host_->roll_call());
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
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const char* call = "ncclCommInitRankConfig";
  check(api_.ncclCommInitRankConfig(&comm_, world().ranks, id, world().rank, &config), call);
  wait_until(*this, {call, ++calls_}, [&] { return taken(call); });
}

// ncclCommDestroy flushes together with the other ranks; at_once does not count on them.
void NcclCommunicator::close(bool at_once) {
  if (comm_ != nullptr) at_once ? api_.ncclCommAbort(comm_) : api_.ncclCommDestroy(comm_);
  if (staged_ != nullptr) api_.cudaFree(staged_);
  if (stream_ != nullptr) api_.cudaStreamDestroy(stream_);
  comm_ = nullptr, staged_ = nullptr, staged_bytes_ = 0, stream_ = nullptr;
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

// Whether NCCL has taken the last call in; errors of any earlier one come to light here too.
bool NcclCommunicator::taken(const char* what) const {
  ncclResult_t state = ncclSuccess;
  check(api_.ncclCommGetAsyncError(comm_, &state), what);
  check(state, what);
  return state == ncclSuccess;
}

template <class Start>
void NcclCommunicator::complete(const char* collective, Start&& start) {
  const Call call{collective, ++calls_};
  check(start(), collective);
  wait_until(*this, call, [&] { return taken(collective); });
  wait_until(*this, call, [&] {
    const cudaError_t state = api_.cudaStreamQuery(stream_);
    check(state, collective);
    return taken(collective) && state == cudaSuccess;
  });
}

void NcclCommunicator::reserve(size_t bytes) {
  if (bytes <= staged_bytes_) return;
  if (staged_ != nullptr) api_.cudaFree(staged_);
  staged_ = nullptr, staged_bytes_ = 0;
  check(api_.cudaMalloc(reinterpret_cast<void**>(&staged_), bytes), "cudaMalloc");
  staged_bytes_ = bytes;
}

// On the tensor itself where it is on the device; else `in` goes to byte in_at of a buffer there,
// which is `out` when start(in, out) is done. The copies are ordered before and after the stream.
template <class Start>
void NcclCommunicator::run(const char* collective, const at::Tensor& in, size_t in_at,
                           at::Tensor& out, Start&& start) {
  if (failure_) throw Error(*failure_);
  if (!in.is_cpu() && in.get_device() != device_) {
    throw internal_error("{}: the tensor is on {}, the communicator on cuda:{}", collective,
                         in.device().str(), device_);
  }
  try {
    if (!in.is_cpu())
      return complete(collective, [&] { return start(in.data_ptr(), out.data_ptr()); });
    reserve(std::max(out.nbytes(), in_at + in.nbytes()));
    char* const from = staged_ + in_at;
    check(api_.cudaMemcpy(from, in.data_ptr(), in.nbytes(), cudaMemcpyHostToDevice), collective);
    complete(collective, [&] { return start(from, staged_); });
    check(api_.cudaMemcpy(out.data_ptr(), staged_, out.nbytes(), cudaMemcpyDeviceToHost),
          collective);
  } catch (const Error& error) {
    failure_ = error;
    close(/*at_once=*/true);
    throw;
  }
}

void NcclCommunicator::sum(at::Tensor& values) {
  check_summable(values);
  run("sum", values, 0, values, [&](void* in, void* out) {
    return api_.ncclAllReduce(in, out, values.numel(), nccl_type(values.scalar_type()), ncclSum,
                              comm_, stream_);
  });
}

void NcclCommunicator::broadcast(at::Tensor& values, int from) {
  check_contiguous(values, "broadcast");
  check_source(from, world().ranks);
  run("broadcast", values, 0, values, [&](void* in, void* out) {
    return api_.ncclBroadcast(in, out, values.nbytes(), ncclUint8, from, comm_, stream_);
  });
}

at::Tensor NcclCommunicator::all_gather(const at::Tensor& mine) {
  check_contiguous(mine, "all_gather");
  at::Tensor all = empty_gathered(mine, world().ranks);
  const size_t mine_at = static_cast<size_t>(world().rank) * mine.nbytes();
  run("all_gather", mine, mine_at, all, [&](void* in, void* out) {
    return api_.ncclAllGather(in, out, mine.nbytes(), ncclUint8, comm_, stream_);
  });
  return all;
}

void NcclCommunicator::barrier() {
  at::Tensor flag = at::zeros({1}, at::kInt);
  run("barrier", flag, 0, flag, [&](void* in, void* out) {
    return api_.ncclAllReduce(in, out, 1, ncclInt32, ncclSum, comm_, stream_);
  });
}

}  // namespace

int cuda_devices() {
  int devices = 0;
  const Functions& api = functions();
  if (api.cudaGetDeviceCount == nullptr) return 0;
  return api.cudaGetDeviceCount(&devices) == cudaSuccess ? devices : 0;
}

std::string cuda_device_name(int device) {
  char name[32] = "";
  const Functions& api = functions();
  if (api.cudaDeviceGetPCIBusId == nullptr ||
      api.cudaDeviceGetPCIBusId(name, sizeof name, device) != cudaSuccess)
    return "";
  return name;
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
