// Writing so that a power cut after the call loses nothing: each call returns when the disk has it.
#pragma once

#include <filesystem>
#include <string>

namespace rankwise {

// Errors of all: kMachine, naming the file and what the system said.
void write_synced(const std::filesystem::path& file, const std::string& bytes);
void sync_file(const std::filesystem::path& file);
void sync_folder(const std::filesystem::path& folder);
// `from` takes the name `to`; what had it before is then called `from`, or does not exist.
void rename_over(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace rankwise
