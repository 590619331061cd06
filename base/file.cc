#include "base/file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <unistd.h>

#include "base/error.h"

namespace moesim::base {

std::string read_file(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) throw InputError(path, "", "is a directory", "a file");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw InputError(path, "", std::string("cannot be read: ") + std::strerror(errno));
  std::ostringstream content;
  content << in.rdbuf();
  if (in.bad()) throw InputError(path, "", "cannot be read to its end");
  return std::move(content).str();
}

void write_file(const std::string& path, std::string_view content) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_directory(status)) throw InputError(path, "", "is a directory", "a file");
  // A device or pipe (/dev/stdout) is written to, never renamed over; behind a link, the file that it names is
  // replaced.
  const bool in_place = fs::exists(status) && !fs::is_regular_file(status);
  const std::string target = fs::is_regular_file(status) ? fs::canonical(path).string() : path;
  const std::string written_to = in_place ? path : target + ".tmp" + std::to_string(getpid());
  const auto fail = [&] {
    const std::string why = std::strerror(errno);
    if (!in_place) std::remove(written_to.c_str());
    throw InputError(path, "", "cannot be written: " + why);
  };
  std::FILE* out = std::fopen(written_to.c_str(), "wb");
  if (out == nullptr) fail();
  const bool written = std::fwrite(content.data(), 1, content.size(), out) == content.size();
  if (std::fclose(out) != 0 || !written) fail();
  if (!in_place && std::rename(written_to.c_str(), target.c_str()) != 0) fail();
}

std::string content_hash(std::string_view content) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : content) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL;
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace moesim::base
