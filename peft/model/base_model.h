// A frozen model ready to compute: one copy of its weights a node, in shared memory or, of large
// tables that are only looked up, in their files' pages; or its shapes alone.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "distributed/comm/communicator.h"
#include "distributed/memory/node_memory.h"
#include "peft/base/family.h"

namespace rankwise {

// The types in which the node holds the weights.
struct Precision {
  at::ScalarType base = at::kFloat;  // --torch_dtype
  bool bfloat16_products = false;    // --bf16: weights of linears in bfloat16
  bool keep_blocks = false;          // --base_dtype keep: what is quantised stays so
  at::ScalarType of(Use use, size_t dimensions) const;
};
// Errors: kUsage.
Precision precision(const std::string& torch_dtype, bool bf16,
                    const std::string& base_dtype = "unpack");

// The weights of a model's files, one copy a node.
struct BaseWeights;

struct BaseModel {
  Config config;
  const Family* family;
  std::shared_ptr<const BaseWeights> weights;  // null: shapes only
  std::unique_ptr<Base> base;
  int64_t shared_bytes = 0;  // of the node's memory; by shapes alone, the most that it can be
  int64_t parameters = 0;    // numbers in it, heads included
  std::string identity;      // of config and file headers: a resumed run must have the same
  bool bfloat16_products = false;
};

// From config.json alone (to keep blocks: from the weights' header too); tensors are on LibTorch's
// meta device. Errors: kModel; kUsage as below.
BaseModel shapes_of_model(const std::filesystem::path& folder, const BuildOptions& options,
                          const Precision& precision);

// Moves a model to a device, what trains excepted; tied weights stay one, and those that models
// share are copied there once.
void move_to(const BaseModel& model, const at::Device& device);

// Collective. Reads the weights once a node, in the order of the file. Files must stay as they are
// for the life of the weights (distributed/memory/mapping.h). Errors (all ranks): kModel: missing
// tensors (named), wrong shapes (both shown), lying headers; kUsage: blocks to keep, but none
// there; kMachine.
std::shared_ptr<const BaseWeights> load_weights(Communicator& communicator,
                                                const std::filesystem::path& folder,
                                                const BuildOptions& options,
                                                const Precision& precision);

int64_t shared_bytes(const BaseWeights& weights);  // of the node's memory

// A model on these weights, which were loaded for the same options; several may share them. `seed`
// draws a head that the files lack.
BaseModel build_base(std::shared_ptr<const BaseWeights> weights, const BuildOptions& options,
                     uint64_t seed);

}  // namespace rankwise
