// The family is built twice: once to note what it asks for, once from the node's memory. In
// between, the tensors are found in the files and copied in file order; large tables stay there.
#include "peft/model/base_model.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>
#include <sys/mman.h>

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_map>

#include "distributed/comm/agree.h"
#include "peft/base/draw.h"
#include "peft/hub/tensor_file.h"
#include "peft/model/file_tensors.h"

namespace rankwise {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLargeTable = 64 << 20;

struct Wanted {
  WeightRequest request;
  at::ScalarType type;
  std::vector<int64_t> shape_in_file() const {
    std::vector<int64_t> shape = request.shape;
    if (request.transposed) std::swap(shape[0], shape[1]);
    return shape;
  }
};

// The first build: notes what the family asks for and answers with shapes.
class ShapeSource : public WeightSource {
 public:
  explicit ShapeSource(const Precision& precision) : precision_(precision) {}
  FrozenWeight get(const WeightRequest& request) override {
    const bool head = request.drawn.has_value();
    wanted.push_back(
        {request, head ? at::kFloat : precision_.of(request.use, request.shape.size())});
    return at::empty(request.shape, at::TensorOptions(at::kMeta).dtype(at::kFloat));
  }
  std::vector<Wanted> wanted;

 private:
  Precision precision_;
};

// Where a wanted tensor lies in the file and on the node.
struct Placed {
  Wanted wanted;
  TensorEntry entry;
  bool in_blocks = false;           // as in the file
  bool in_file = false;             // stays there, mapped
  size_t offset = 0;                // else: in the node's memory
  const std::byte* data = nullptr;  // once loaded

  size_t bytes() const {
    if (in_blocks) return entry.bytes;
    return at::elementSize(wanted.type) *
           static_cast<size_t>(c10::multiply_integers(wanted.request.shape));
  }
  // Whether two uses of one tensor need the same bytes.
  bool same_form(const Placed& other) const {
    return in_blocks == other.in_blocks && (in_blocks || wanted.type == other.wanted.type);
  }
};

// The second build: answers with what is loaded.
class MappedSource : public WeightSource {
 public:
  MappedSource(const std::vector<Placed>& placed, uint64_t seed) : seed_(seed) {
    for (const Placed& entry : placed) placed_.emplace(entry.wanted.request.path, &entry);
  }
  FrozenWeight get(const WeightRequest& request) override {
    const auto found = placed_.find(request.path);
    if (found == placed_.end())
      return *request.drawn > 0 ? draw_normal(request.shape, *request.drawn, seed_, request.path)
                                : at::zeros(request.shape);
    const Placed& placed = *found->second;
    auto* data = const_cast<std::byte*>(placed.data);  // read-only pages: frozen means frozen
    if (!placed.in_blocks)
      return at::from_blob(data, request.shape, at::TensorOptions().dtype(placed.wanted.type));
    const int64_t rows = request.shape[0], row_bytes = static_cast<int64_t>(placed.bytes()) / rows;
    return {
        at::empty(request.shape, at::TensorOptions(at::kMeta).dtype(at::kFloat)),
        {placed.entry.dtype, at::from_blob(data, {rows, row_bytes}, at::kByte), request.shape[1]}};
  }

 private:
  std::unordered_map<std::string, const Placed*> placed_;
  uint64_t seed_;
};

void check_shape(const Wanted& wanted, const TensorEntry& entry) {
  if (wanted.shape_in_file() == entry.shape) return;
  throw model_error("{}: tensor '{}' has shape {}, but config.json asks for {}",
                    entry.file.string(), entry.name, shape_text(entry.shape),
                    shape_text(wanted.shape_in_file()));
}

std::vector<Placed> place(const std::vector<Wanted>& wanted,
                          const std::vector<TensorEntry>& entries, const Family& family,
                          const std::filesystem::path& folder, bool keep_blocks) {
  std::unordered_map<std::string, const TensorEntry*> by_name;
  for (const TensorEntry& entry : entries) by_name.emplace(entry.name, &entry);
  std::vector<Placed> placed;
  std::vector<std::string> missing;
  for (const Wanted& want : wanted) {
    const WeightRequest& request = want.request;
    const TensorEntry* found = nullptr;
    for (const std::string& name :
         family.names_in_file(request.tied_to.empty() ? request.path : request.tied_to)) {
      const auto entry = by_name.find(name);
      if (entry != by_name.end() && !found) found = entry->second;
    }
    if (found) {
      check_shape(want, *found);
      placed.push_back({want, *found,
                        keep_blocks && request.may_stay_in_blocks &&
                            layout_of(found->dtype).is_block() && found->added == 0});
    } else if (!request.drawn) {
      missing.push_back(request.path);
    }
  }
  if (!missing.empty()) {
    const size_t shown = std::min<size_t>(missing.size(), 5);
    throw model_error(
        "{}: {} tensors are missing, among them {}", folder.string(), missing.size(),
        fmt::join(missing.begin(), missing.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  }
  if (keep_blocks && std::none_of(placed.begin(), placed.end(), std::mem_fn(&Placed::in_blocks)))
    throw usage_error("--base_dtype keep: {} has no quantised matrix", folder.string());
  return placed;
}

// A large table stays in its file where it is only looked up and its bytes there are those wanted:
// of its rows, only those that a run touches are taken into memory.
bool stays_in_file(const Placed& table, const std::vector<Placed>& placed) {
  const auto& [request, type] = table.wanted;
  return request.use == Use::kLookup && table.bytes() >= kLargeTable && !table.in_blocks &&
         !table.entry.file.empty() && is_verbatim(table.entry, type) &&
         table.entry.offset % at::elementSize(type) == 0 &&
         std::none_of(placed.begin(), placed.end(), [&](const Placed& other) {
           return other.wanted.request.tied_to == request.path && other.same_form(table);
         });
}

// In the order of the files, which network disks like. Two uses of one tensor in the same form
// share its place. Returns the bytes that the node's memory needs.
size_t lay_out(std::vector<Placed>& placed) {
  std::stable_sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::tie(a.entry.file, a.entry.offset) < std::tie(b.entry.file, b.entry.offset);
  });
  std::map<std::string, const Placed*> by_path;
  size_t end = 0;
  for (Placed& entry : placed) {
    by_path.emplace(entry.wanted.request.path, &entry);
    const auto tied = by_path.find(entry.wanted.request.tied_to);
    if (tied != by_path.end() && tied->second->same_form(entry)) {
      entry.offset = tied->second->offset;
      continue;
    }
    entry.in_file = stays_in_file(entry, placed);
    if (entry.in_file) continue;
    entry.offset = end;
    end = (end + entry.bytes() + kAlignment - 1) / kAlignment * kAlignment;
  }
  return end;
}

void fill(const std::vector<Placed>& placed, std::span<std::byte> memory,
          Communicator& communicator) {
  std::map<std::filesystem::path, Descriptor> files;
  for (const Placed& entry : placed) {
    communicator.progressed();
    Descriptor& opened = files[entry.entry.file];
    if (opened.get() < 0) opened = open_file(entry.entry.file);
    const int file = opened.get();
    if (entry.in_file) {
      read_through(file, entry.entry);
      continue;
    }
    std::byte* to = memory.data() + entry.offset;
    const WeightRequest& request = entry.wanted.request;
    if (entry.in_blocks) {
      read_blocks(file, entry.entry, to);
      continue;
    }
    if (!request.transposed) {
      read_tensor(file, entry.entry, entry.wanted.type, to);
      continue;
    }
    const auto options = at::TensorOptions().dtype(entry.wanted.type);
    at::Tensor original = at::empty(entry.wanted.shape_in_file(), options);
    read_tensor(file, entry.entry, entry.wanted.type, original.data_ptr());
    at::from_blob(to, request.shape, options).copy_(original.t());
  }
}

std::string identity_of(const Config& config, const std::vector<TensorEntry>& entries) {
  std::string text = config.json().dump();
  for (const TensorEntry& entry : entries)
    text += fmt::format("{} {} {} {}\n", entry.name, layout_of(entry.dtype).name,
                        shape_text(entry.shape), entry.offset);
  return fmt::format("{:016x}", hash_of(text));
}

int64_t count(const std::vector<Wanted>& wanted) {
  int64_t numbers = 0;
  for (const Wanted& want : wanted) {
    if (want.request.tied_to.empty()) numbers += c10::multiply_integers(want.request.shape);
  }
  return numbers;
}

using DeviceCopies = std::map<std::pair<const void*, at::ScalarType>, at::Tensor>;

}  // namespace

struct BaseWeights {
  std::optional<Config> config;
  const Family* family = nullptr;
  std::vector<Placed> placed;
  std::optional<NodeMemory> memory;
  std::vector<Mapping> tables;  // that stay in their files
  size_t bytes = 0;             // of memory
  int64_t parameters = 0;
  std::string identity;
  bool bfloat16_products = false;
  mutable DeviceCopies on_device;  // of what is loaded

  const std::byte* load(const Placed& tensor) {
    if (!tensor.in_file) return memory->bytes().data() + tensor.offset;
    const TensorEntry& entry = tensor.entry;
    return tables
        .emplace_back(open_file(entry.file), entry.offset, entry.bytes, PROT_READ, MAP_PRIVATE)
        .bytes()
        .data();
  }
  bool holds(const void* address) const {
    return std::any_of(placed.begin(), placed.end(),
                       [&](const Placed& tensor) { return tensor.data == address; });
  }
};

at::ScalarType Precision::of(Use use, size_t dimensions) const {
  if (dimensions < 2) return at::kFloat;  // norms and biases act in float32
  return use == Use::kProduct && bfloat16_products ? at::kBFloat16 : base;
}

Precision precision(const std::string& torch_dtype, bool bf16, const std::string& base_dtype) {
  if (base_dtype == "keep") {
    if (bf16 || torch_dtype != "float32")
      throw usage_error(
          "--base_dtype keep: what is not quantised is held as float32; --bf16 and --torch_dtype "
          "do not apply");
    return {.keep_blocks = true};
  }
  if (torch_dtype == "float32") return {at::kFloat, bf16};
  if (torch_dtype == "bfloat16") return {at::kBFloat16, true};
  if (torch_dtype == "float16") return {at::kHalf, bf16};
  throw usage_error("--torch_dtype {}: must be float32, bfloat16 or float16", torch_dtype);
}

BaseModel shapes_of_model(const std::filesystem::path& folder, const BuildOptions& options,
                          const Precision& precision) {
  Config config = read_model_config(folder);
  const Family& family = family_of(config);
  ShapeSource source(precision);
  auto base = family.build(config, options, source);
  std::vector<Placed> placed;
  if (precision.keep_blocks) {
    placed = place(source.wanted, list_model_tensors(folder), family, folder, true);
  } else {
    for (const Wanted& want : source.wanted) placed.push_back({want, {}});
  }
  const auto bytes = static_cast<int64_t>(lay_out(placed));
  return {std::move(config),
          &family,
          nullptr,
          std::move(base),
          bytes,
          count(source.wanted),
          "",
          precision.bfloat16_products};
}

std::shared_ptr<const BaseWeights> load_weights(Communicator& communicator,
                                                const std::filesystem::path& folder,
                                                const BuildOptions& options,
                                                const Precision& precision) {
  auto weights = std::make_shared<BaseWeights>();
  together(communicator, "reading the model's header", [&] {
    Config config = read_model_config(folder);
    weights->family = &family_of(config);
    ShapeSource shapes(precision);
    weights->family->build(config, options, shapes);
    const std::vector<TensorEntry> entries = list_model_tensors(folder);
    weights->placed =
        place(shapes.wanted, entries, *weights->family, folder, precision.keep_blocks);
    weights->parameters = count(shapes.wanted);
    weights->identity = identity_of(config, entries);
    weights->config.emplace(std::move(config));
    weights->bytes = lay_out(weights->placed);
    weights->bfloat16_products = precision.bfloat16_products;
  });
  communicator.enter_phase("loading the model");
  weights->memory.emplace(communicator, weights->bytes, [&](std::span<std::byte> memory) {
    fill(weights->placed, memory, communicator);
  });
  together(communicator, "mapping the model's tables", [&] {
    for (Placed& tensor : weights->placed) tensor.data = weights->load(tensor);
  });
  return weights;
}

int64_t shared_bytes(const BaseWeights& weights) { return static_cast<int64_t>(weights.bytes); }

BaseModel build_base(std::shared_ptr<const BaseWeights> weights, const BuildOptions& options,
                     uint64_t seed) {
  MappedSource source(weights->placed, seed);
  auto base = weights->family->build(*weights->config, options, source);
  return {*weights->config,
          weights->family,
          weights,
          std::move(base),
          static_cast<int64_t>(weights->bytes),
          weights->parameters,
          weights->identity,
          weights->bfloat16_products};
}

void move_to(const BaseModel& model, const at::Device& device) {
  DeviceCopies own;
  for (const NamedTensor& parameter : model.base->sites.tensors) {
    at::Tensor& tensor = *parameter.tensor;
    if (tensor.requires_grad()) continue;
    DeviceCopies& copies =
        model.weights->holds(tensor.const_data_ptr()) ? model.weights->on_device : own;
    at::Tensor& there = copies[{tensor.const_data_ptr(), tensor.scalar_type()}];
    if (!there.defined()) there = tensor.to(device);
    tensor = there;
  }
}

}  // namespace rankwise
