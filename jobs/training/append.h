// Adds bytes to the end of a file: all of them with one write(2), or none. So a killed job leaves
// no half line.
#pragma once

#include <filesystem>
#include <string_view>

namespace rankwise {

// Makes the file where there is none. Errors: kMachine, with the file and the system's reason; the
// file is then as long as before.
void append_to_file(const std::filesystem::path& file, std::string_view bytes);

}  // namespace rankwise
