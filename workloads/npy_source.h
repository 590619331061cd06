// The bytes of an array that NumPy wrote: a .npy file, or an array inside a .npz archive (stored or compressed).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace moesim::workloads {

class NpySource {
 public:
  virtual ~NpySource() = default;
  std::uint64_t size() const { return size_; }
  // Reads bytes [offset, offset + bytes). Throws InputError where they are not there. Cheapest in order: a compressed
  // array that is not read in order is unpacked into an unnamed temporary file first.
  virtual void read(std::uint64_t offset, char* to, std::size_t bytes) = 0;

 protected:
  std::uint64_t size_ = 0;  // in an archive as it says, and not to be trusted with an allocation
};

// By the name's ending, .npz or anything else. An archive's only array is taken, or the first of `names` that it has;
// throws InputError for an archive with others, and for files that cannot be read.
std::unique_ptr<NpySource> open_npy(const std::string& path, std::span<const std::string_view> names);

}  // namespace moesim::workloads
