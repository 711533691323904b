// Leaves of the graph are views of one flat buffer; files hold them by peft's names.
#include "peft/model/adapted_model.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/variable.h>

#include <unordered_map>

#include "peft/model/file_tensors.h"
#include "peft/model/loss.h"

namespace rankwise {
std::string ParameterCounts::text() const {
  const auto grouped = [](int64_t number) {
    std::string digits = std::to_string(number);
    for (auto at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
      digits.insert(static_cast<size_t>(at), 1, ',');
    return digits;
  };
  return fmt::format("trainable params: {} || all params: {} || trainable%: {:.4f}",
                     grouped(trainable), grouped(all),
                     all ? 100.0 * static_cast<double>(trainable) / static_cast<double>(all) : 0.0);
}

AdaptedModel::AdaptedModel(BaseModel base, std::unique_ptr<Method> method, TaskType task,
                           AttachOptions options)
    : base_(std::move(base)), task_(task) {
  if (method) stack(std::move(method), std::move(options));
}

void AdaptedModel::stack(std::unique_ptr<Method> method, AttachOptions options) {
  options.model_type = base_.family->model_type;
  options.model_class = class_name(*base_.family, task_);
  method->attach(base_.base->sites, options);
  const std::vector<Trainable>& more = method->trainables();
  trainables_.insert(trainables_.end(), more.begin(), more.end());
  methods_.push_back(std::move(method));
  flatten();
}

void AdaptedModel::flatten() {
  int64_t total = 0;
  for (const Trainable& trainable : trainables_) total += trainable.value.numel();
  const bool shapes_only = !base_.weights;
  values_ =
      at::empty({total}, at::TensorOptions(shapes_only ? at::kMeta : at::kCPU).dtype(at::kFloat));
  gradient_ = at::zeros_like(values_);
  if (!shapes_only) view_leaves(values_, gradient_);
}

// Every leaf becomes a view of one flat buffer, its gradient a view of another.
void AdaptedModel::view_leaves(at::Tensor& values, at::Tensor& gradient) {
  at::NoGradGuard no_grad;
  int64_t begin = 0;
  for (Trainable& trainable : trainables_) {
    const int64_t numbers = trainable.value.numel();
    at::Tensor view = values.narrow(0, begin, numbers).view(trainable.value.sizes());
    view.copy_(trainable.value);
    trainable.value.mutable_grad() = at::Tensor();
    trainable.value.set_data(view);
    trainable.value.mutable_grad() =
        gradient.narrow(0, begin, numbers).view(trainable.value.sizes());
    begin += numbers;
  }
}

void AdaptedModel::move_to(const at::Device& device) {
  if (device.is_cpu()) return;
  for (const NamedTensor& parameter : base_.base->sites.tensors) {
    if (parameter.blocks && parameter.blocks->bytes.defined())
      throw usage_error("--base_dtype keep: quantised weights are computed with on CPUs only");
  }
  device_ = device;
  rankwise::move_to(base_, device);
  if (methods_.empty()) return;
  device_values_ = at::empty_like(values_, values_.options().device(device));
  device_gradient_ = at::zeros_like(device_values_);
  view_leaves(device_values_, device_gradient_);
  for (const auto& method : methods_) {
    for (Trainable& constant : method->constants())
      constant.value.set_data(constant.value.to(device));
  }
}

void AdaptedModel::refresh() const {
  if (stale_ && device_values_.defined()) device_values_.detach().copy_(values_);
  stale_ = false;
}

double AdaptedModel::backward(const Unit& unit, const Randomness& randomness,
                              double targets_of_update) {
  refresh();
  at::Tensor& gradient = device_gradient_.defined() ? device_gradient_ : gradient_;
  gradient.zero_();
  const Pass pass(unit, randomness, pass_options());
  const at::Tensor features = base_.base->features(pass);
  const at::Tensor sum = is_language_model(task_)
                             ? language_model_loss(*base_.base, features, pass)
                             : loss_sum(logits_of(*base_.base, features, pass), unit, task_);
  (sum / targets_of_update).backward();
  if (device_gradient_.defined()) gradient_.copy_(device_gradient_);
  return sum.item<double>();
}

double AdaptedModel::add_penalty(at::Tensor& gradient) {
  refresh();
  const at::Tensor penalty = methods_.front()->penalty();
  if (!penalty.defined()) return 0;
  at::Tensor& own = device_gradient_.defined() ? device_gradient_ : gradient_;
  own.zero_();
  penalty.backward();
  gradient.add_(own.cpu());
  return penalty.item<double>();
}

AdaptedModel::Scores AdaptedModel::evaluate(const Unit& unit) const {
  at::NoGradGuard no_grad;
  refresh();
  const Pass pass(unit, Randomness{}, pass_options());
  const at::Tensor features = base_.base->features(pass);
  Scores scores;
  if (unit.targets.defined()) scores.targets = unit.targets.size(0);
  if (is_language_model(task_) && unit.targets.defined()) {
    scores.losses = target_losses(*base_.base, features, pass).cpu();
    scores.loss_sum = scores.losses.sum(at::kDouble).item<double>();
    return scores;
  }
  scores.logits = logits_of(*base_.base, features, pass).cpu();
  if (unit.targets.defined()) scores.loss_sum = loss_sum(scores.logits, unit, task_).item<double>();
  return scores;
}

at::Tensor AdaptedModel::next_logits(const Unit& unit, KeyValueCache& cache) const {
  at::NoGradGuard no_grad;
  refresh();
  PassOptions options = pass_options();
  options.cache = &cache;
  const Pass pass(unit, Randomness{}, options);
  return logits_of(*base_.base, base_.base->features(pass), pass).cpu();
}

PassOptions AdaptedModel::pass_options() const {
  PassOptions options;
  options.gradient_checkpointing = gradient_checkpointing_;
  options.first_position = base_.base->sites.first_position;
  options.whole_rows = base_.base->sites.whole_rows;
  options.device = device_;
  options.bfloat16_products = base_.bfloat16_products;
  if (progressed_) options.progressed = &progressed_;
  return options;
}

ParameterCounts AdaptedModel::counts() const {
  ParameterCounts counts{0, base_.parameters};
  for (const Trainable& trainable : trainables_) {
    counts.trainable += trainable.value.numel();
    if (trainable.extra) counts.all += trainable.value.numel();
  }
  return counts;
}

int64_t AdaptedModel::prompt_tokens() const { return base_.base->sites.prompt_tokens; }

int64_t AdaptedModel::virtual_tokens() const {
  return base_.base->sites.first_position + prompt_tokens();
}

std::vector<Method::Target> AdaptedModel::targets() const {
  return methods_.empty() ? std::vector<Method::Target>() : methods_.front()->targets();
}

void AdaptedModel::load(const AdapterFolder& folder) {
  at::NoGradGuard no_grad;
  std::unordered_map<std::string, const TensorEntry*> entries;
  for (const TensorEntry& entry : folder.tensors) entries.emplace(entry.name, &entry);
  Method& method = *methods_.back();
  std::vector<Trainable> wanted = method.trainables();
  for (const Trainable& constant : method.constants()) wanted.push_back(constant);
  for (const Trainable& tensor : wanted) {
    const auto found = entries.find(tensor.name);
    if (found == entries.end())
      throw model_error("{}: tensor '{}' is missing", folder.folder.string(), tensor.name);
    const TensorEntry& entry = *found->second;
    if (entry.shape != tensor.value.sizes().vec()) {
      throw model_error("{}: tensor '{}' has shape {}, but the model asks for {}",
                        folder.folder.string(), entry.name, shape_text(entry.shape),
                        shape_text(tensor.value.sizes().vec()));
    }
    tensor.value.detach().copy_(read_tensor(entry));
    entries.erase(found);
  }
  for (const auto& [name, entry] : entries) {
    if (!method.ignores(name))
      throw model_error("{}: tensor '{}' belongs to nothing in this model", folder.folder.string(),
                        name);
  }
}

void AdaptedModel::merge(at::ScalarType type) {
  Sites& sites = base_.base->sites;
  for (const auto& method : methods_) method->merge_into(sites);
  for (const NamedTensor& parameter : sites.tensors) {
    at::Tensor& value = *parameter.tensor;
    value = value.detach();
    if (type != at::kFloat) value = value.to(type).to(at::kFloat);
  }
}

std::map<std::string, std::string> AdaptedModel::files(
    const std::string& base_model_name, const std::optional<std::vector<std::string>>& labels,
    bool of_checkpoint) const {
  refresh();
  std::vector<Trainable> exported = methods_.front()->exported();
  if (!of_checkpoint) {
    for (const Trainable& copied : methods_.front()->copied()) exported.push_back(copied);
  }
  std::vector<TensorBytes> tensors;
  for (const Trainable& trainable : exported) {
    tensors.push_back(tensor_bytes(trainable.name, trainable.value, trainable.saved_as));
  }
  Json config = methods_.front()->config();
  config["task_type"] = name_of(task_);
  config["base_model_name_or_path"] = base_model_name;
  return adapter_files(config, std::move(tensors), labels);
}

}  // namespace rankwise
