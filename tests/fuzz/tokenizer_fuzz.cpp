// libFuzzer on tokenizer.json. A damaged file is an error of kind kModel; a file that loads gives
// ids inside its vocabulary and places inside the text, decodes them, at once and as a stream, and
// keeps to max_length.
#include <cstdlib>

#include "data/tokenizers/pipeline.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rankwise;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Json root = parse_json(text, "input", ErrorKind::kModel);
    const Pipeline tokenizer(Section(root, "input"), {});
    for (const int64_t max_length : {INT64_MAX, int64_t{7}}) {
      try {
        const Encoding row =
            tokenizer.encode("The na\xc3\xafve [SEP]\xff \xe4\xb8\xad", text, max_length);
        if (static_cast<int64_t>(row.ids.size()) > max_length) std::abort();
        if (row.ids.size() != row.type_ids.size()) std::abort();
        for (const int32_t id : row.ids) {
          if (id < 0 || id >= tokenizer.vocabulary_size()) std::abort();
        }
        tokenizer.decode(row.ids, true);
        constexpr std::string_view kText = "The na\xc3\xafve [SEP]e\xcc\x81 \xe4\xb8\xad";
        const PlacedTokens placed = tokenizer.encode_placed(kText);
        if (placed.ids != tokenizer.encode_plain(kText)) std::abort();
        if (placed.spans.size() != placed.ids.size()) std::abort();
        for (const TextSpan& span : placed.spans) {
          if (span.begin > span.end || span.end > kText.size()) std::abort();
        }
        StreamDecoder stream(tokenizer, false);
        for (const int32_t id : row.ids) stream.add(id);
        stream.finish();
      } catch (const Error& error) {  // more special tokens than max_length, or no unknown token
        if (error.kind() != ErrorKind::kUsage && error.kind() != ErrorKind::kModel) std::abort();
      }
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kModel) std::abort();
  }
  return 0;
}
