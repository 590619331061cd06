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

namespace {

// Where a file's content goes before it is whole.
struct Output {
  std::string path;
  std::string target;  // behind a link the file that it names
  // A device or pipe (/dev/stdout) is written to, never renamed over.
  bool in_place = false;
  std::string written_to;

  explicit Output(const std::string& named) : path(named), target(named) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    const fs::file_status status = fs::status(path, ignored);
    if (path == "-") throw InputError(path, "", "is no file", "a file's name, or /dev/stdout");
    if (fs::is_directory(status)) throw InputError(path, "", "is a directory", "a file");
    in_place = fs::exists(status) && !fs::is_regular_file(status);
    if (fs::is_regular_file(status)) target = fs::canonical(path).string();
    written_to = in_place ? path : target + ".tmp" + std::to_string(getpid());
  }

  [[noreturn]] void fail() const {
    const std::string why = std::strerror(errno);
    if (!in_place) std::remove(written_to.c_str());
    throw InputError(path, "", "cannot be written: " + why);
  }
};

}  // namespace

void write_file(const std::string& path, std::string_view content) {
  const Output output(path);
  std::FILE* out = std::fopen(output.written_to.c_str(), "wb");
  if (out == nullptr) output.fail();
  const bool written = std::fwrite(content.data(), 1, content.size(), out) == content.size();
  if (std::fclose(out) != 0 || !written) output.fail();
  if (!output.in_place && std::rename(output.written_to.c_str(), output.target.c_str()) != 0) output.fail();
}

void check_writable(const std::string& path) {
  const Output output(path);
  if (output.in_place) {  // opening a pipe could wait for its reader
    if (access(path.c_str(), W_OK) != 0) output.fail();
    return;
  }
  std::FILE* out = std::fopen(output.written_to.c_str(), "wb");
  if (out == nullptr) output.fail();
  std::fclose(out);
  std::remove(output.written_to.c_str());
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
