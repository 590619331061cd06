// The header of a .npy file and how its elements are stored; shared by the readers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moesim::workloads {

class NpySource;

struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::size_t data = 0;  // offset of the first element
};

// How one element is stored.
struct NpyElement {
  std::size_t size = 0;
  bool is_signed = false;
  bool big_endian = false;

  // The value; nothing where it is above 2^63 - 1.
  std::optional<std::int64_t> read(const char* bytes) const {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < size; ++i)
      bits = (bits << 8) | static_cast<unsigned char>(bytes[big_endian ? i : size - 1 - i]);
    const std::size_t unused = 64 - 8 * size;
    if (is_signed) return static_cast<std::int64_t>(bits << unused) >> unused;
    if (bits >> 63 != 0) return std::nullopt;
    return static_cast<std::int64_t>(bits);
  }
};

inline constexpr std::string_view kNpyMagic = "\x93NUMPY";
// Bytes from the start of the file that hold its whole header, from the first 12 of them. Throws InputError for other
// files and versions above 3.
std::size_t npy_header_size(std::string_view first_bytes, const std::string& file);
// `content` begins with the whole header. Throws InputError for damaged headers and structured arrays.
NpyHeader parse_npy_header(std::string_view content, const std::string& file);
// Reads and parses the header at the start of `source`; its shape is not checked.
NpyHeader read_npy_header(NpySource& source, const std::string& file);
// "[4, 2, 8]".
std::string shape_text(std::span<const std::uint64_t> shape);
// Throws InputError for what is no integer of 1, 2, 4 or 8 bytes.
NpyElement parse_npy_element(const std::string& descr, const std::string& file);
// Throws InputError where the elements of the shape are not exactly `available` bytes.
void check_npy_size(const NpyHeader& header, std::size_t element_bytes, std::uint64_t available,
                    const std::string& file);
// The same, and for what is not [tokens, layers, top_k].
void check_npy_shape(const NpyHeader& header, const NpyElement& element, std::uint64_t available,
                     const std::string& file);

}  // namespace moesim::workloads
