// Short texts between ranks beside the collectives. Nothing here waits.
#pragma once

#include <optional>
#include <string>

namespace rankwise {

struct Letter {
  int from = 0;
  std::string text;
};

class Mailbox {
 public:
  virtual ~Mailbox() = default;
  virtual void send(int to, const std::string& text) = 0;  // goes on its way when it can
  virtual std::optional<Letter> receive() = 0;             // one that has come, if any
};

}  // namespace rankwise
