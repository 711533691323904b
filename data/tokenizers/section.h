// A part of a JSON file that knows where it stands, so that every error names the file and the path
// to the field: "tokenizer.json: normalizer.lowercase must be true or false". Errors: kModel.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peft/hub/json.h"

namespace rankwise {

class Section {
 public:
  // `json` outlives the section.
  Section(const Json& json, std::string file) : Section(json, std::move(file), {}) {}

  const Json& json() const { return *json_; }
  bool has(const std::string& name) const;  // present and not null
  Section at(const std::string& name) const;
  std::vector<Section> items(const std::string& name) const;  // of an array
  std::string text(const std::string& name) const;
  std::string text(const std::string& name, const std::string& otherwise) const;
  bool boolean(const std::string& name, bool otherwise) const;
  std::optional<bool> boolean(const std::string& name) const;  // null or absent: nothing
  int64_t integer(const std::string& name, int64_t least, int64_t most) const;
  int64_t as_integer(int64_t least, int64_t most) const;  // this value itself
  std::string as_text() const;

  Error error(const std::string& what) const;  // "<file>: <path> <what>"

 private:
  Section(const Json& json, std::string file, std::string path);

  const Json* json_;
  std::string file_, path_;
};

}  // namespace rankwise
