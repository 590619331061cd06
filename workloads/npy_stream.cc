#include "workloads/npy_stream.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/error.h"
#include "workloads/npy_header.h"
#include "workloads/trace.h"

namespace moesim::workloads {
namespace {

constexpr std::size_t kBlockIds = std::size_t{1} << 21;

// Little-endian int16, what frameworks return: as it is in memory, -1 being kPaddingId. Returns whether all are valid.
bool copy_int16(const std::vector<char>& raw, std::size_t count, std::vector<std::uint16_t>& ids) {
  std::memcpy(ids.data(), raw.data(), 2 * count);
  std::uint32_t bad = 0;
  for (std::size_t i = 0; i < count; ++i) bad |= static_cast<std::uint32_t>(ids[i] > 0x7fff && ids[i] != kPaddingId);
  return bad == 0;
}

}  // namespace

struct NpyStream::State {
  std::string path;
  std::ifstream in;
  NpyHeader header;
  NpyElement element;
  std::int64_t next = 0;  // token
  std::vector<char> raw;
  std::vector<std::uint16_t> ids;

  std::size_t per_token() const { return static_cast<std::size_t>(header.shape[1] * header.shape[2]); }

  void read(std::size_t offset, char* to, std::size_t bytes) {
    in.seekg(static_cast<std::streamoff>(header.data + offset));
    in.read(to, static_cast<std::streamsize>(bytes));
    if (static_cast<std::size_t>(in.gcount()) != bytes) throw base::InputError(path, "", "cannot be read to its end");
  }

  void store(std::size_t at, std::int64_t token, std::size_t within, const char* bytes) {
    const auto id = element.read(bytes);
    if (!id || *id < -1 || *id > kMaxExpertId)
      throw base::InputError(path,
                             "token " + std::to_string(token) + ", layer " + std::to_string(within / header.shape[2]),
                             "expert id " + (id ? std::to_string(*id) : "above 2^63") + " out of range",
                             "0 to " + std::to_string(kMaxExpertId) + ", or -1 for padding");
    ids[at] = *id == -1 ? kPaddingId : static_cast<std::uint16_t>(*id);
  }

  void read_c_order(std::size_t count) {
    const std::size_t width = per_token();
    const std::size_t total = count * width;
    raw.resize(total * element.size);
    read(static_cast<std::size_t>(next) * width * element.size, raw.data(), raw.size());
    const bool as_is = element.size == 2 && element.is_signed && !element.big_endian;
    if (as_is && std::endian::native == std::endian::little && copy_int16(raw, total, ids)) return;
    for (std::size_t i = 0; i < total; ++i)
      store(i, next + static_cast<std::int64_t>(i / width), i % width, raw.data() + i * element.size);
  }

  // Element (t, l, i) lies at t + tokens * (l + layers * i): a run of `count` for every layer and choice.
  void read_fortran_order(std::size_t count) {
    const std::size_t layers = header.shape[1], k = header.shape[2], width = per_token();
    raw.resize(count * element.size);
    for (std::size_t column = 0; column < width; ++column) {
      const std::size_t within = column % layers * k + column / layers;
      read((static_cast<std::size_t>(next) + header.shape[0] * column) * element.size, raw.data(), raw.size());
      for (std::size_t t = 0; t < count; ++t)
        store(t * width + within, next + static_cast<std::int64_t>(t), within, raw.data() + t * element.size);
    }
  }
};

NpyStream::NpyStream(const std::string& path) : state_(std::make_unique<State>()) {
  state_->path = path;
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) throw base::InputError(path, "", "cannot be read: " + error.message());
  state_->in.open(path, std::ios::binary);
  if (!state_->in) throw base::InputError(path, "", "cannot be read");
  std::string head(std::min<std::size_t>(12, size), '\0');
  state_->in.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(std::min<std::size_t>(std::max(head.size(), npy_header_size(head, path)), size));
  state_->in.seekg(0);
  state_->in.read(head.data(), static_cast<std::streamsize>(head.size()));
  state_->header = parse_npy_header(head, path);
  state_->element = parse_npy_element(state_->header.descr, path);
  check_npy_shape(state_->header, state_->element, size - state_->header.data, path);
}

NpyStream::~NpyStream() = default;
NpyStream::NpyStream(NpyStream&&) noexcept = default;

std::int64_t NpyStream::tokens() const { return static_cast<std::int64_t>(state_->header.shape[0]); }
std::int32_t NpyStream::layers() const { return static_cast<std::int32_t>(state_->header.shape[1]); }
std::int32_t NpyStream::top_k() const { return static_cast<std::int32_t>(state_->header.shape[2]); }

std::span<const std::uint16_t> NpyStream::next() {
  State& s = *state_;
  const std::size_t width = s.per_token();
  const std::size_t count =
      std::min<std::size_t>(std::max<std::size_t>(1, kBlockIds / width), static_cast<std::size_t>(tokens() - s.next));
  if (count == 0) return {};
  s.ids.resize(count * width);
  if (s.header.fortran_order)
    s.read_fortran_order(count);
  else
    s.read_c_order(count);
  s.next += static_cast<std::int64_t>(count);
  return s.ids;
}

}  // namespace moesim::workloads
