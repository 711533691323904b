// A frozen base with a method on it: what a trainer computes with. All trainable numbers lie in one
// flat buffer, their gradients in another.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "peft/base/cache.h"
#include "peft/hub/adapter_folder.h"
#include "peft/methods/method.h"
#include "peft/model/base_model.h"

namespace rankwise {

struct ParameterCounts {
  int64_t trainable = 0, all = 0;
  std::string text() const;  // peft's line: "trainable params: 296,450 || all params: 109,780,228
                             // || trainable%: 0.2700"
};

class AdaptedModel {
 public:
  // Attaches the method; the flat buffers get the trainables in their order. Errors: kUsage (no
  // target matched). method may be null: the bare base, nothing trains.
  AdaptedModel(BaseModel base, std::unique_ptr<Method> method, TaskType task,
               AttachOptions options);

  // Attaches another beside those there are, whose values load() takes next. Before move_to().
  // Errors: kUsage: both bring the same module.
  void stack(std::unique_ptr<Method> method, AttachOptions options);

  // One unit: forward, loss sum / targets_of_update, backward into gradient() (zeroed first).
  // Returns the loss sum, not divided.
  double backward(const Unit& unit, const Randomness& randomness, double targets_of_update);

  // From now on the model computes there. values() and gradient() stay on the CPU. Errors: kUsage:
  // weights in blocks stay on the CPU.
  void move_to(const at::Device& device);
  // The method's own share of the loss, once an update: its gradient is added to `gradient` [P].
  double add_penalty(at::Tensor& gradient);
  void use_gradient_checkpointing(bool yes) { gradient_checkpointing_ = yes; }
  // Called at each layer of every pass, by the thread that computes it.
  void when_progressed(std::function<void()> tell) { progressed_ = std::move(tell); }

  struct Scores {
    at::Tensor logits;  // [N, labels] float32; a language model's: only where there are no targets;
                        // FEATURE_EXTRACTION: hidden states of the unit's real tokens [T, F]
    at::Tensor losses;  // [N] float32, of a language model's targets
    double loss_sum = 0;
    int64_t targets = 0;
  };
  Scores evaluate(const Unit& unit) const;
  // Generation: reads the unit's tokens (of an encoder-decoder: the decoder's; the encoder's text
  // at the first call) behind what the cache holds. [N, V] at target_index.
  at::Tensor next_logits(const Unit& unit, KeyValueCache& cache) const;

  // [P] float32, all trainables end to end. What is changed through it holds from the next call on.
  at::Tensor& values() {
    stale_ = true;
    return values_;
  }
  const at::Tensor& gradient() const { return gradient_; }  // [P]
  const std::vector<Trainable>& trainables() const { return trainables_; }
  ParameterCounts counts() const;
  int64_t virtual_tokens() const;  // that the method puts before every row, prompt or prefix
  int64_t prompt_tokens() const;   // those for which a unit must leave room
  std::vector<Method::Target> targets() const;
  const BaseModel& base() const { return base_; }
  Method* method() { return methods_.empty() ? nullptr : methods_.front().get(); }

  // Takes the values of the last method from an adapter folder. Errors: kModel: a tensor missing or
  // of another shape, one that nothing asks for.
  void load(const AdapterFolder& folder);
  // Folds the adapters into the base, each changed weight rounded to `type` as a file of that type
  // will hold it.
  void merge(at::ScalarType type);

  // The files of an adapter folder, name → bytes. of_checkpoint: without copies of frozen weights.
  std::map<std::string, std::string> files(const std::string& base_model_name,
                                           const std::optional<std::vector<std::string>>& labels,
                                           bool of_checkpoint) const;

 private:
  void flatten();
  void view_leaves(at::Tensor& values, at::Tensor& gradient);
  void refresh() const;
  PassOptions pass_options() const;

  BaseModel base_;
  std::vector<std::unique_ptr<Method>> methods_;  // empty: the bare base
  TaskType task_;
  bool gradient_checkpointing_ = false;
  std::function<void()> progressed_;
  std::vector<Trainable> trainables_;
  at::Tensor values_, gradient_;
  // Of another device than the CPU: what the leaves are views of, and whether values_ is newer.
  at::Device device_ = at::kCPU;
  at::Tensor device_values_, device_gradient_;
  mutable bool stale_ = false;
};

}  // namespace rankwise
