// The texts of --help and --version, made from the tables of verbs and fields.
#pragma once

#include <string>
#include <vector>

#include "distributed/core/field.h"
#include "jobs/job.h"

namespace rankwise {

std::string version();  // "0.1.0"

std::string verbs_help(const std::vector<Verb>& verbs, int columns);
std::string verb_help(const Verb& verb, const Fields& fields, int columns);

// The version and the libraries that this runs on, one a line.
std::string version_text();

}  // namespace rankwise
