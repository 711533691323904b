// Writes the options of a run as a config file that `rankwise VERB --config run.ini` reads back.
// Reading is the launcher's business (launcher/command_line.h).
#pragma once

#include <string>
#include <string_view>

#include "distributed/core/field.h"

namespace rankwise {

// Every option under its group, as a comment, with the value it has now; an option that is empty
// and was not given is left out.
std::string run_ini(const std::string& verb, const Fields& fields);

// A value as it stands behind "name = ". Readers of ini files cut at '#' and strip blanks, so a
// text that would suffer is written as a JSON string without '#': "a \u0023 b".
std::string ini_value(std::string_view text);

}  // namespace rankwise
