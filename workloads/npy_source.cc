#include "workloads/npy_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/error.h"

namespace moesim::workloads {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& problem) {
  throw base::InputError(path, "", "cannot be read: " + problem);
}

void read_at(int descriptor, std::uint64_t offset, char* to, std::size_t bytes, const std::string& path) {
  while (bytes > 0) {
    const ssize_t got = pread(descriptor, to, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail(path, got < 0 ? std::strerror(errno) : "it ends early");
    to += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
}

class FileSource : public NpySource {
 public:
  explicit FileSource(const std::string& path) : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat status {};
    if (descriptor_ < 0 || fstat(descriptor_, &status) != 0) {
      const std::string problem = std::strerror(errno);
      close_file();
      fail(path, problem);
    }
    if (S_ISDIR(status.st_mode)) {
      close_file();
      fail(path, "a directory");
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  ~FileSource() override { close_file(); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  void read(std::uint64_t offset, char* to, std::size_t bytes) override {
    read_at(descriptor_, offset, to, bytes, path_);
  }

 private:
  void close_file() {
    if (descriptor_ >= 0) close(descriptor_);
    descriptor_ = -1;
  }

  std::string path_;
  int descriptor_;
};

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

class ArchiveSource : public NpySource {
 public:
  ArchiveSource(const std::string& path, std::span<const std::string_view> names) : path_(path) {
    int code = 0;
    archive_.reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
    if (!archive_) {
      zip_error_t error;
      zip_error_init_with_code(&error, code);
      const std::string problem = zip_error_strerror(&error);
      zip_error_fini(&error);
      throw base::InputError(path, "", "not a readable .npz archive: " + problem, "a file saved with numpy.savez");
    }
    index_ = choose(names);
    zip_stat_t status;
    zip_stat_init(&status);
    if (zip_stat_index(archive_.get(), index_, 0, &status) != 0 || (status.valid & ZIP_STAT_SIZE) == 0)
      fail(path, zip_strerror(archive_.get()));
    size_ = status.size;
    rewind();
  }

  void read(std::uint64_t offset, char* to, std::size_t bytes) override {
    if (offset != at_ && !unpacked_) unpack();
    if (unpacked_) {
      read_at(fileno(unpacked_.get()), offset, to, bytes, path_);
      return;
    }
    read_next(to, bytes);
  }

 private:
  zip_uint64_t choose(std::span<const std::string_view> names) const {
    std::vector<std::pair<std::string, zip_uint64_t>> arrays;
    const zip_int64_t entries = zip_get_num_entries(archive_.get(), 0);
    for (zip_int64_t i = 0; i < entries; ++i) {
      const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
      if (name != nullptr && std::string_view(name).ends_with(".npy"))
        arrays.emplace_back(std::string(name, std::strlen(name) - 4), static_cast<zip_uint64_t>(i));
    }
    if (arrays.size() == 1) return arrays.front().second;
    for (const std::string_view wanted : names)
      for (const auto& [name, index] : arrays)
        if (name == wanted) return index;
    std::string found, expected;
    for (const auto& [name, index] : arrays) found += (found.empty() ? "" : ", ") + name;
    for (const std::string_view wanted : names) expected += (expected.empty() ? "" : " or ") + std::string(wanted);
    throw base::InputError(path_, "", arrays.empty() ? "an archive without arrays" : "several arrays: " + found,
                           "one array, or one that is named " + expected);
  }

  void rewind() {
    member_.reset(zip_fopen_index(archive_.get(), index_, 0));
    if (!member_) fail(path_, zip_strerror(archive_.get()));
    at_ = 0;
  }

  void read_next(char* to, std::size_t bytes) {
    while (bytes > 0) {
      const zip_int64_t got = zip_fread(member_.get(), to, bytes);
      if (got <= 0) fail(path_, got < 0 ? zip_file_strerror(member_.get()) : "its array ends early");
      to += got;
      at_ += static_cast<std::uint64_t>(got);
      bytes -= static_cast<std::size_t>(got);
    }
  }

  void unpack() {
    std::unique_ptr<std::FILE, CloseFile> file(std::tmpfile());
    if (!file) fail(path_, std::string("no temporary file to unpack it: ") + std::strerror(errno));
    rewind();
    std::vector<char> block(std::size_t{1} << 20);
    while (at_ < size_) {
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), size_ - at_));
      read_next(block.data(), part);
      if (std::fwrite(block.data(), 1, part, file.get()) != part) fail(path_, std::strerror(errno));
    }
    if (std::fflush(file.get()) != 0) fail(path_, std::strerror(errno));
    unpacked_ = std::move(file);
  }

  std::string path_;
  std::unique_ptr<zip_t, CloseArchive> archive_;
  zip_uint64_t index_ = 0;
  std::unique_ptr<zip_file_t, CloseMember> member_;
  std::uint64_t at_ = 0;
  std::unique_ptr<std::FILE, CloseFile> unpacked_;
};

}  // namespace

std::unique_ptr<NpySource> open_npy(const std::string& path, std::span<const std::string_view> names) {
  if (path.ends_with(".npz")) {
    std::error_code error;  // libzip would make an empty archive of a missing file
    if (!std::filesystem::is_regular_file(path, error)) fail(path, error ? error.message() : "not a file");
    return std::make_unique<ArchiveSource>(path, names);
  }
  return std::make_unique<FileSource>(path);
}

}  // namespace moesim::workloads
