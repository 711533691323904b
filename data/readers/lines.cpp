// Buffered lines of a file, blank ones at its end left out, and a UTF-8 validator (RFC 3629).
#include "data/readers/lines.h"

#include <cerrno>
#include <cstring>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;

bool blank(std::string_view line) { return without_cr(line).empty(); }

// Length of the sequence that starts at `at`, 0 where it is not valid.
size_t sequence_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : lead >= 0xE0 && lead <= 0xEF ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  if (length == 0 || text.size() - at < length) return 0;
  const unsigned char least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;  // no overlong form
  const unsigned char most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;   // no surrogate
  if (byte(1) < least || byte(1) > most) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

std::string_view without_cr(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool valid_utf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    uint64_t word;
    if (at + sizeof word <= text.size()) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if ((word & 0x8080808080808080u) == 0) {
        at += sizeof word;
        continue;
      }
    }
    const size_t length = sequence_length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

Lines::Lines(std::filesystem::path file) : file_(std::move(file)) {
  std::error_code failure;
  if (std::filesystem::is_directory(file_, failure)) {
    throw input_error("{}: is a folder, not a file of rows", file_.string());
  }
  stream_.open(file_, std::ios::binary);
  if (!stream_) throw input_error("{}: {}", file_.string(), std::strerror(errno));
  if (!refill()) throw input_error("{}: the file is empty", file_.string());
  if (std::string_view(buffer_).starts_with("\xEF\xBB\xBF")) begin_ = 3;
}

std::string Lines::where() const { return fmt::format("{}:{}", file_.string(), number_); }

bool Lines::next(std::string_view& line) {
  if (held_.empty()) {
    if (!read_line(line)) return false;
    if (!blank(line)) {
      ++number_;
      return true;
    }
    // Blank lines are lines only where another one follows.
    do {
      held_.emplace_back(line);
      if (!read_line(line)) {
        held_.clear();
        return false;
      }
    } while (blank(line));
    held_.emplace_back(line);
  }
  current_ = std::move(held_.front());
  held_.pop_front();
  line = current_;
  ++number_;
  return true;
}

bool Lines::read_line(std::string_view& line) {
  size_t searched = begin_;
  for (;;) {
    const size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      line = std::string_view(buffer_).substr(begin_, end - begin_);
      begin_ = end + 1;
      return true;
    }
    const size_t unfinished = buffer_.size() - begin_;
    if (!refill()) {
      line = std::string_view(buffer_).substr(begin_);
      begin_ = buffer_.size();
      return !line.empty();
    }
    searched = begin_ + unfinished;
  }
}

// Drops what was handed out and reads on; false at the end of the file.
bool Lines::refill() {
  if (at_end_) return false;
  buffer_.erase(0, begin_);
  begin_ = 0;
  const size_t kept = buffer_.size();
  buffer_.resize(kept + kReadBytes);
  stream_.read(buffer_.data() + kept, kReadBytes);
  if (stream_.bad()) {
    throw machine_error("{}: reading fails: {}", file_.string(), std::strerror(errno));
  }
  buffer_.resize(kept + static_cast<size_t>(stream_.gcount()));
  at_end_ = stream_.eof();
  return buffer_.size() > kept;
}

}  // namespace rankwise
