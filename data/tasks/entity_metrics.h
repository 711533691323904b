// TOKEN_CLS: accuracy of tokens; precision, recall and F1 of entities where labels are names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/tasks/task.h"

namespace rankwise {

struct Entity {
  std::string type;
  size_t first, last;  // of its tags
  auto operator<=>(const Entity&) const = default;
};

// Of one row's tags ("B-PER", "I-PER", "O" …), as seqeval's get_entities finds them in its default
// mode: IOB2 where the tags follow it, and what they can only mean where they do not. In order.
std::vector<Entity> entities_of(const std::vector<std::string>& tags);

// labels: by class index. Entities never cross rows.
std::unique_ptr<Metrics> entity_metrics(const std::vector<std::string>& labels,
                                        bool labels_are_numbers);

}  // namespace rankwise
