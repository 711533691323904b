// What a token store was prepared for, and what a run that reads it expects.
#pragma once

#include <filesystem>

#include "data/token_file.h"
#include "jobs/setup.h"

namespace rankwise {

bool is_token_file(const std::filesystem::path& file);  // by its ending

// Everything that decides the ids and labels.
TokenFileSettings token_file_settings(const Setup& setup, const DataOptions& data);
// Of these, what a run must agree with: an option that it does not give is the store's.
TokenFileSettings expected_settings(const Setup& setup, const DataOptions& data);

}  // namespace rankwise
