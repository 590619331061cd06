// Reading and writing whole files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moesim::base {

// Throws InputError for a missing or unreadable file or a directory.
std::string read_file(const std::string& path);

// Whole or not at all: written to a temporary file beside it and renamed (a device or pipe is written to as it is).
// Throws InputError when it cannot be written.
void write_file(const std::string& path, std::string_view content);

// Throws the InputError that write_file would, as far as it can be known before there is anything to write. Leaves
// nothing behind, and a file that is there as it is.
void check_writable(const std::string& path);

// FNV-1a, 64 bits, as 16 hexadecimal digits: names a scenario or profile in results (not a cryptographic hash).
std::string content_hash(std::string_view content);

}  // namespace moesim::base
