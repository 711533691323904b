// A stack machine with the opcodes that Python's pickle.py writes up to protocol 4 for dicts,
// lists, tuples, texts, numbers and what torch's _rebuild functions take.
#include "peft/hub/pickle.h"

#include <algorithm>
#include <cstring>

namespace rankwise {
namespace {

struct StorageType {
  std::string_view name;
  Dtype dtype;
};
constexpr StorageType kStorageTypes[] = {
    {"torch FloatStorage", Dtype::kFloat32},     {"torch HalfStorage", Dtype::kFloat16},
    {"torch BFloat16Storage", Dtype::kBFloat16}, {"torch DoubleStorage", Dtype::kFloat64},
    {"torch LongStorage", Dtype::kInt64},        {"torch IntStorage", Dtype::kInt32},
    {"torch ShortStorage", Dtype::kInt16},       {"torch CharStorage", Dtype::kInt8},
    {"torch ByteStorage", Dtype::kUInt8},        {"torch BoolStorage", Dtype::kBool},
};

constexpr std::string_view kDict = "collections OrderedDict";
constexpr std::string_view kTensor = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view kParameter = "torch._utils _rebuild_parameter";

bool is_known(std::string_view name) {
  return name == kDict || name == kTensor || name == kParameter ||
         std::any_of(std::begin(kStorageTypes), std::end(kStorageTypes),
                     [&](const StorageType& type) { return type.name == name; });
}

}  // namespace

Unpickler::Unpickler(std::string_view bytes, std::string where)
    : bytes_(bytes), where_(std::move(where)) {
  while (step()) {
  }
  result_ = &pop();
}

bool Unpickler::step() {
  const char opcode = read<char>();
  switch (opcode) {
    case '\x80':  // PROTO
      read<uint8_t>();
      break;
    case '\x95':  // FRAME
      read<uint64_t>();
      break;
    case '.':  // STOP
      return false;
    case '(':  // MARK
      marks_.push_back(stack_.size());
      break;
    case 'N':  // NONE
      push(Kind::kNone);
      break;
    case '\x88':  // NEWTRUE
    case '\x89':  // NEWFALSE
      push(Kind::kBool).number = opcode == '\x88';
      break;
    case 'K':     // BININT1
    case 'M':     // BININT2
    case 'J':     // BININT
    case '\x8a':  // LONG1
    case 'G':     // BINFLOAT
      push_number(opcode);
      break;
    case 'X':  // BINUNICODE
      push(Kind::kText).text = read(read<uint32_t>());
      break;
    case '\x8c':
    case 'U':  // SHORT_BINUNICODE, SHORT_BINSTRING
      push(Kind::kText).text = read(read<uint8_t>());
      break;
    case '}':  // EMPTY_DICT
      push(Kind::kDict);
      break;
    case ']':
    case ')':  // EMPTY_LIST, EMPTY_TUPLE
      push(Kind::kSequence);
      break;
    case 't':  // TUPLE
      collect(after_mark());
      break;
    case '\x85':
    case '\x86':
    case '\x87':  // TUPLE1 … TUPLE3
      collect(static_cast<size_t>(static_cast<uint8_t>(opcode) - 0x84));
      break;
    case 'a':  // APPEND
      add_to_list(1);
      break;
    case 'e':  // APPENDS
      add_to_list(after_mark());
      break;
    case 's':  // SETITEM
      add_to_dict(2);
      break;
    case 'u':  // SETITEMS
      add_to_dict(after_mark());
      break;
    case 'q':  // BINPUT
      remember(read<uint8_t>());
      break;
    case 'r':  // LONG_BINPUT
      remember(read<uint32_t>());
      break;
    case '\x94':  // MEMOIZE
      remember(memo_.size());
      break;
    case 'h':  // BINGET
      recall(read<uint8_t>());
      break;
    case 'j':  // LONG_BINGET
      recall(read<uint32_t>());
      break;
    case 'c': {  // GLOBAL
      const std::string_view module = line(), object = line();
      const std::string name = fmt::format("{} {}", module, object);
      if (!is_known(name)) throw error("asks for the Python object '" + name + "'");
      push(Kind::kName).text = name;
      break;
    }
    case 'Q':  // BINPERSID
      load_storage();
      break;
    case 'R':  // REDUCE
      reduce();
      break;
    case 'b':  // BUILD
      drop_state();
      break;
    default:
      throw error(fmt::format("has the opcode 0x{:02x}", static_cast<uint8_t>(opcode)));
  }
  return true;
}

void Unpickler::push_number(char opcode) {
  if (opcode == 'G') {
    read(8);
    push(Kind::kReal);
    return;
  }
  int64_t number = 0;
  if (opcode == 'K') number = read<uint8_t>();
  if (opcode == 'M') number = read<uint16_t>();
  if (opcode == 'J') number = read<int32_t>();
  if (opcode == '\x8a') {
    const std::string_view digits = read(read<uint8_t>());  // two's complement, lowest byte first
    // Longer ones are torch's magic number and nothing that a tensor needs.
    const size_t size = std::min<size_t>(digits.size(), sizeof number);
    if (size > 0 && digits[size - 1] < 0) number = -1;
    std::memcpy(&number, digits.data(), size);
  }
  push(Kind::kNumber).number = number;
}

void Unpickler::recall(uint64_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end()) throw error("recalls what it never stored");
  stack_.push_back(found->second);
}

void Unpickler::collect(size_t count) {
  if (count > stack_.size()) throw error("takes more from its stack than is there");
  std::vector<const Value*> entries(stack_.end() - static_cast<std::ptrdiff_t>(count),
                                    stack_.end());
  stack_.resize(stack_.size() - count);
  push(Kind::kSequence).entries = std::move(entries);
}

void Unpickler::add_to_list(size_t count) {
  collect(count);
  const std::vector<const Value*> entries = pop().entries;
  expect(top(), Kind::kSequence, "a list");
  top().entries.insert(top().entries.end(), entries.begin(), entries.end());
}

void Unpickler::add_to_dict(size_t count) {
  collect(count);
  const std::vector<const Value*> entries = pop().entries;
  if (entries.size() % 2 != 0) throw error("gives a dict a key without a value");
  expect(top(), Kind::kDict, "a dict");
  top().entries.insert(top().entries.end(), entries.begin(), entries.end());
}

// ("storage", its type, key, device, numbers); before torch 1.6 with a view's description behind.
void Unpickler::load_storage() {
  const std::vector<const Value*> id = expect(pop(), Kind::kSequence, "a storage").entries;
  if (id.size() < 5) throw error("has a storage of less than five fields");
  if (id.size() > 5 && id[5]->kind != Kind::kNone) throw error("has a view of a storage");
  const std::string& type = expect(*id[1], Kind::kName, "a storage's type").text;
  const auto* known = std::find_if(std::begin(kStorageTypes), std::end(kStorageTypes),
                                   [&](const StorageType& row) { return row.name == type; });
  if (known == std::end(kStorageTypes)) throw error("has a storage of no known type");
  const PickledStorage storage{expect(*id[2], Kind::kText, "a storage's key").text, known->dtype,
                               expect(*id[4], Kind::kNumber, "a storage's size").number};
  if (storage.numbers < 0) throw error("has a storage of negative size");
  push(Kind::kStorage).storage = storage;
}

void Unpickler::reduce() {
  const std::vector<const Value*> arguments = expect(pop(), Kind::kSequence, "arguments").entries;
  const std::string name = expect(pop(), Kind::kName, "a function").text;
  if (name == kDict) {
    push(Kind::kDict);
  } else if (name == kTensor) {
    rebuild_tensor(arguments);
  } else if (name == kParameter && !arguments.empty()) {
    push(Kind::kTensor).tensor = expect(*arguments[0], Kind::kTensor, "a parameter").tensor;
  } else {
    throw error("calls '" + name + "'");
  }
}

// _rebuild_tensor_v2(storage, storage_offset, size, stride, …)
void Unpickler::rebuild_tensor(const std::vector<const Value*>& arguments) {
  if (arguments.size() < 4) throw error("has a tensor of less than four fields");
  PickledTensor tensor;
  tensor.storage = expect(*arguments[0], Kind::kStorage, "a tensor's storage").storage;
  tensor.first = expect(*arguments[1], Kind::kNumber, "a tensor's offset").number;
  tensor.shape = sizes(*arguments[2]);
  tensor.strides = sizes(*arguments[3]);
  if (tensor.shape.size() != tensor.strides.size() || tensor.first < 0)
    throw error("has a tensor whose shape and strides do not fit");
  push(Kind::kTensor).tensor = std::move(tensor);
}

// What Python would put into __dict__ (a state_dict's _metadata) is not needed.
void Unpickler::drop_state() {
  pop();
  top();
}

std::vector<int64_t> Unpickler::sizes(const Value& value) const {
  constexpr size_t kMostDimensions = 64;
  const std::vector<const Value*>& entries = expect(value, Kind::kSequence, "a shape").entries;
  if (entries.size() > kMostDimensions) throw error("has a shape of too many sizes");
  std::vector<int64_t> sizes;
  for (const Value* entry : entries) {
    sizes.push_back(expect(*entry, Kind::kNumber, "a size").number);
    if (sizes.back() < 0) throw error("has a negative size");
  }
  return sizes;
}

template <class Number>
Number Unpickler::read() {
  Number number;
  std::memcpy(&number, read(sizeof number).data(), sizeof number);
  return number;
}

std::string_view Unpickler::read(uint64_t size) {
  if (size > bytes_.size() - position_) throw error("is cut short");
  const std::string_view part = bytes_.substr(position_, size);
  position_ += size;
  return part;
}

std::string_view Unpickler::line() {
  const size_t end = bytes_.find('\n', position_);
  if (end == bytes_.npos) throw error("is cut short");
  const std::string_view text = bytes_.substr(position_, end - position_);
  position_ = end + 1;
  return text;
}

size_t Unpickler::after_mark() {
  if (marks_.empty() || marks_.back() > stack_.size()) throw error("lacks a mark");
  const size_t count = stack_.size() - marks_.back();
  marks_.pop_back();
  return count;
}

PickledValue& Unpickler::push(Kind kind) {
  Value& value = values_.emplace_back();
  value.kind = kind;
  stack_.push_back(&value);
  return value;
}

PickledValue& Unpickler::top() {
  if (stack_.empty()) throw error("takes more from its stack than is there");
  return *stack_.back();
}

PickledValue& Unpickler::pop() {
  Value& value = top();
  stack_.pop_back();
  return value;
}

const PickledValue& Unpickler::expect(const Value& value, Kind kind, const char* what) const {
  if (value.kind != kind) throw error(fmt::format("has something else where {} should be", what));
  return value;
}

Error Unpickler::error(const std::string& what) const {
  return model_error("{}: the pickle {} at byte {}; only dicts of tensors are read", where_, what,
                     position_);
}

}  // namespace rankwise
