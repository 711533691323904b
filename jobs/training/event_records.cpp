// Protocol buffers' wire format (protobuf.dev/programming-guides/encoding), as far as events need
// it, and TFRecord's framing: length, its checksum, the message, its checksum; little endian.
#include "jobs/training/event_records.h"

#include <bit>
#include <boost/crc.hpp>

namespace rankwise {
namespace {

using Crc32c = boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true>;

template <class Integer>
std::string little_endian(Integer value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(value); ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}

// A message under construction. Fields are added in the order of their numbers.
class Message {
 public:
  Message& integer(int field, uint64_t value) {
    key(field, 0);
    varint(value);
    return *this;
  }
  Message& fixed(int field, double value) {
    key(field, 1);
    bytes_ += little_endian(std::bit_cast<uint64_t>(value));
    return *this;
  }
  Message& fixed(int field, float value) {
    key(field, 5);
    bytes_ += little_endian(std::bit_cast<uint32_t>(value));
    return *this;
  }
  Message& string(int field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return string(field, value.bytes_); }

  const std::string& bytes() const { return bytes_; }

 private:
  void key(int field, int wire_type) { varint(static_cast<uint64_t>(field << 3 | wire_type)); }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

std::string masked_checksum(std::string_view bytes) {
  Crc32c crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return little_endian(std::rotr(crc.checksum(), 15) + 0xA282EAD8u);
}

std::string record(const Message& event) {
  const std::string length = little_endian<uint64_t>(event.bytes().size());
  return length + masked_checksum(length) + event.bytes() + masked_checksum(event.bytes());
}

Message event(double wall_time, int64_t step) {
  Message event;
  event.fixed(1, wall_time);
  if (step != 0) event.integer(2, static_cast<uint64_t>(step));
  return event;
}

// Event.summary with one Summary.Value.
std::string summary_record(double wall_time, int64_t step, const Message& value) {
  return record(event(wall_time, step).message(5, Message().message(1, value)));
}

}  // namespace

std::string version_record(double wall_time) {
  return record(event(wall_time, 0).string(3, "brain.Event:2"));
}

std::string session_start_record(double wall_time, int64_t from_step) {
  const uint64_t kStart = 1;  // SessionLog.START
  return record(event(wall_time, from_step).message(7, Message().integer(1, kStart)));
}

std::string scalar_record(double wall_time, std::string_view tag, int64_t step, double value) {
  return summary_record(wall_time, step,
                        Message().string(1, tag).fixed(2, static_cast<float>(value)));
}

std::string text_record(double wall_time, std::string_view tag, std::string_view text) {
  const uint64_t kString = 7;  // DT_STRING
  const Message shape = Message().message(2, Message().integer(1, 1));
  const Message tensor = Message().integer(1, kString).message(2, shape).string(8, text);
  const Message metadata = Message().message(1, Message().string(1, "text"));
  return summary_record(wall_time, 0,
                        Message()
                            .string(1, std::string(tag) + "/text_summary")
                            .message(8, tensor)
                            .message(9, metadata));
}

}  // namespace rankwise
