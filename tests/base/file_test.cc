#include "base/file.h"

#include <csignal>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/base/input_error.h"

namespace moesim::base {
namespace {

namespace fs = std::filesystem;
using tests::input_error;

// A folder of this test's own, removed afterwards.
struct TemporaryFolder {
  fs::path path = fs::temp_directory_path() / ("moesim_file_test_" + std::to_string(getpid()));
  TemporaryFolder() { fs::create_directories(path); }
  ~TemporaryFolder() { fs::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string file(const std::string& name) const { return (path / name).string(); }
  std::ptrdiff_t entries() const { return std::distance(fs::directory_iterator(path), fs::directory_iterator()); }
};

// No file may grow beyond `limit` while it lives, as on a full disk.
struct FileSizeLimit {
  rlimit before{};
  void (*handler)(int) = std::signal(SIGXFSZ, SIG_IGN);
  explicit FileSizeLimit(rlim_t limit) {
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit lower{limit, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &lower);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
};

TEST_CASE("a written file reads back byte for byte") {
  const TemporaryFolder folder;
  for (const std::string& content : {std::string(), std::string("one\r\ntwo\0three", 14), std::string(100000, 'x')}) {
    write_file(folder.file("a"), content);
    CHECK(read_file(folder.file("a")) == content);
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("a write that fails half-way leaves the old file and nothing beside it") {
  const TemporaryFolder folder;
  write_file(folder.file("a"), "old");
  std::string message;
  {
    const FileSizeLimit full(4096);
    message = input_error([&] { write_file(folder.file("a"), std::string(100000, 'x')); });
  }
  CHECK(message.starts_with(folder.file("a") + ": cannot be written: "));
  CHECK(read_file(folder.file("a")) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("a missing file or folder is named with the reason") {
  const TemporaryFolder folder;
  CHECK(input_error([&] { read_file(folder.file("none")); }) ==
        folder.file("none") + ": cannot be read: No such file or directory");
  CHECK(input_error([&] { write_file(folder.file("none/a"), "x"); }) ==
        folder.file("none/a") + ": cannot be written: No such file or directory");
}

TEST_CASE("a folder is no file") {
  const TemporaryFolder folder;
  CHECK(input_error([&] { read_file(folder.path.string()); }) ==
        folder.path.string() + ": is a directory; expected a file");
  CHECK(input_error([&] { write_file(folder.path.string(), "x"); }) ==
        folder.path.string() + ": is a directory; expected a file");
}

TEST_CASE("behind a link the file is replaced and the link stays") {
  const TemporaryFolder folder;
  write_file(folder.file("a"), "old");
  fs::create_symlink("a", folder.path / "link");
  write_file(folder.file("link"), "new");
  CHECK(fs::is_symlink(folder.path / "link"));
  CHECK(read_file(folder.file("a")) == "new");
}

TEST_CASE("whether a file can be written is known before, and nothing is changed by asking") {
  const TemporaryFolder folder;
  check_writable(folder.file("new"));
  CHECK(folder.entries() == 0);
  write_file(folder.file("a"), "old");
  check_writable(folder.file("a"));
  CHECK(read_file(folder.file("a")) == "old");
  CHECK(folder.entries() == 1);
  check_writable("/dev/null");
  for (const std::string& path : {folder.file("none/a"), folder.file("a/b"), folder.path.string()}) {
    const std::string said = input_error([&] { check_writable(path); });
    CHECK_FALSE(said.empty());
    CHECK(said == input_error([&] { write_file(path, "x"); }));
  }
}

TEST_CASE("a device is written to and stays a device") {
  write_file("/dev/null", "gone");
  CHECK(fs::is_character_file("/dev/null"));
  CHECK(input_error([] { write_file("/dev/full", "x"); }) == "/dev/full: cannot be written: No space left on device");
  CHECK(fs::is_character_file("/dev/full"));
}

TEST_CASE("the content hash is FNV-1a of 64 bits") {  // test vectors of the algorithm's authors
  CHECK(content_hash("") == "cbf29ce484222325");
  CHECK(content_hash("a") == "af63dc4c8601ec8c");
  CHECK(content_hash("foobar") == "85944171f73967e8");
}

}  // namespace
}  // namespace moesim::base
