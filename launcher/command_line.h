// From the words of a command line and the text of a config file to the fields of a verb. The only
// door to Boost.Program_options.
// Order: default < config file < command line. Names are never guessed from abbreviations.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "distributed/core/field.h"
#include "jobs/job.h"

namespace rankwise {

// Throws Error(kUsage) with the nearest name.
const Verb& find_verb(const std::string& name, const std::vector<Verb>& verbs);

// Whether --help or -h is among the words.
bool asks_for_help(const std::vector<std::string>& arguments);

// Sets the fields that the words behind the verb name: --name value, --name=value, and --name for a
// boolean. Returns what --config says, "" without it. Throws Error(kUsage): an unknown option (with
// the nearest name), one given twice, one without its value, a word that belongs to no option, and
// what Field::set throws.
std::filesystem::path read_arguments(const std::vector<std::string>& arguments, Fields& fields);

// Sets the fields that a config file names (`name = value`, # comments), except those given
// already. Throws Error(kUsage), which names the file.
void read_config(const std::filesystem::path& file, Fields& fields);

// The same, from a text; `where` is named in errors.
void read_config_text(const std::string& text, const std::string& where, Fields& fields);

// The version of Boost that this was built with.
std::string boost_version();

}  // namespace rankwise
