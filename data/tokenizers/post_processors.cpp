// Post-processors: what stands around the sequences of a row.
#include <fmt/format.h>

#include "data/tokenizers/components.h"

namespace rankwise {
namespace {

constexpr int64_t kMostTypes = 1 << 16;

using Part = Template::Part;

std::vector<int32_t> special_ids(const Section& section, const std::string& name) {
  std::vector<int32_t> ids;
  for (const Section& id : section.at("special_tokens").at(name).items("ids")) {
    ids.push_back(static_cast<int32_t>(id.as_integer(0, kMostTokens - 1)));
  }
  return ids;
}

std::vector<Part> template_parts(const Section& section, const std::string& name) {
  std::vector<Part> parts;
  for (const Section& item : section.items(name)) {
    const bool is_sequence = item.has("Sequence");
    const Section piece = item.at(is_sequence ? "Sequence" : "SpecialToken");
    const std::string id = piece.text("id");
    Part part;
    part.type_id = static_cast<int32_t>(piece.integer("type_id", 0, kMostTypes));
    if (!is_sequence) {
      part.ids = special_ids(section, id);
    } else if (id == "A" || id == "B") {
      part.sequence = id[0];
    } else {
      throw piece.error(fmt::format("has the id '{}'; sequences are A and B", id));
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

int64_t count(const std::vector<Part>& parts, char sequence) {
  return std::count_if(parts.begin(), parts.end(),
                       [sequence](const Part& part) { return part.sequence == sequence; });
}

// ["[SEP]", 102]
std::vector<int32_t> token_of(const Section& section, const std::string& name) {
  const std::vector<Section> pair = section.items(name);
  if (pair.size() != 2) throw section.error(fmt::format("'{}' must be a token and its id", name));
  return {static_cast<int32_t>(pair[1].as_integer(0, kMostTokens - 1))};
}

}  // namespace

Template plain_template() { return {{{'A', {}, 0}}, {{'A', {}, 0}, {'B', {}, 1}}}; }

Template template_processing(const Section& section) {
  Template made{template_parts(section, "single"), template_parts(section, "pair")};
  if (count(made.single, 'A') != 1 || count(made.single, 'B') != 0) {
    throw section.error("'single' must hold the sequence A once");
  }
  if (count(made.pair, 'A') != 1 || count(made.pair, 'B') != 1) {
    throw section.error("'pair' must hold the sequences A and B once");
  }
  return made;
}

Template bert_processing(const Section& section) {
  const Part cls{0, token_of(section, "cls"), 0}, sep{0, token_of(section, "sep"), 0};
  const Part sep_of_b{0, sep.ids, 1}, a{'A', {}, 0}, b{'B', {}, 1};
  return {{cls, a, sep}, {cls, a, sep, b, sep_of_b}};
}

Template roberta_processing(const Section& section) {
  const Part cls{0, token_of(section, "cls"), 0}, sep{0, token_of(section, "sep"), 0};
  const Part a{'A', {}, 0}, b{'B', {}, 0};
  return {{cls, a, sep}, {cls, a, sep, sep, b, sep}};
}

Template byte_level_processing(const Section&) { return plain_template(); }

Template sequence_processing(const Section& section) {
  std::optional<Template> found;
  for (const Section& item : section.items("processors")) {
    if (item.text("type") == "ByteLevel") continue;
    if (found) throw item.error("is the second one of a Sequence that adds tokens");
    found = make_template(item);
  }
  return found.value_or(plain_template());
}

}  // namespace rankwise
