// Python's pickles, as far as torch.save needs them for dicts of tensors. Nothing is executed: a
// tensor becomes a description of itself, and every other object is refused.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "distributed/core/error.h"
#include "peft/hub/dtype.h"

namespace rankwise {

struct PickledStorage {
  std::string key;
  Dtype dtype = Dtype::kFloat32;
  int64_t numbers = 0;
};

struct PickledTensor {
  PickledStorage storage;
  int64_t first = 0;  // number of the storage
  std::vector<int64_t> shape, strides;
};

struct PickledValue {
  enum class Kind {
    kNone,
    kBool,
    kNumber,
    kReal,
    kText,
    kSequence,
    kDict,
    kName,
    kStorage,
    kTensor
  };
  Kind kind = Kind::kNone;
  int64_t number = 0;                        // kBool, kNumber
  std::string text;                          // kText, kName ("module name")
  std::vector<const PickledValue*> entries;  // kSequence; kDict: key, value, key, value …
  PickledStorage storage;                    // kStorage
  PickledTensor tensor;                      // kTensor
};

// One pickle at the beginning of `bytes`, which must live as long as the result.
class Unpickler {
 public:
  // Errors: kModel, naming `where`: cut short, an opcode or a Python object that tensors and dicts
  // do not need.
  Unpickler(std::string_view bytes, std::string where);
  const PickledValue& value() const { return *result_; }
  size_t size() const { return position_; }  // bytes that the pickle takes

 private:
  using Value = PickledValue;
  using Kind = PickledValue::Kind;

  bool step();  // false: the pickle is at its end
  void push_number(char opcode);
  void remember(uint64_t index) { memo_[index] = &top(); }
  void recall(uint64_t index);
  void collect(size_t count);
  void add_to_list(size_t count);
  void add_to_dict(size_t count);
  void load_storage();
  void reduce();
  void rebuild_tensor(const std::vector<const Value*>& arguments);
  void drop_state();

  template <class Number>
  Number read();
  std::string_view read(uint64_t size);
  std::string_view line();
  size_t after_mark();  // values behind the last mark, which goes
  Value& push(Kind kind);
  Value& top();
  Value& pop();
  const Value& expect(const Value& value, Kind kind, const char* what) const;
  std::vector<int64_t> sizes(const Value& value) const;
  Error error(const std::string& what) const;

  std::string_view bytes_;
  std::string where_;
  size_t position_ = 0;
  std::deque<Value> values_;  // all that were made: cycles cost nothing
  std::vector<Value*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Value*> memo_;
  const Value* result_ = nullptr;
};

}  // namespace rankwise
