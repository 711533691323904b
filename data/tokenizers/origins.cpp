// Each byte carries its characters along through every rewriting.
#include "data/tokenizers/origins.h"

#include <algorithm>

#include "data/tokenizers/unicode.h"

namespace rankwise {

Origins origins_of(std::string_view text) {
  Origins origins;
  origins.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    unicode::next(text, at);
    origins.resize(at, {begin, at});
  }
  return origins;
}

void OriginsWriter::wrote(size_t size, size_t begin, size_t end) {
  if (!origins_ || origins_->empty()) return;
  TextSpan from = (*origins_)[std::min(begin, origins_->size() - 1)];
  if (begin < end) from.end = (*origins_)[end - 1].end;
  written_.resize(size, from);
}

void OriginsWriter::copied(size_t size, size_t begin) {
  for (size_t at = written_.size(); origins_ && at < size; ++at, ++begin)
    written_.push_back((*origins_)[begin]);
}

void OriginsWriter::finish() {
  if (origins_) origins_->swap(written_);
}

}  // namespace rankwise
