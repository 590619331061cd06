#include "workloads/npy_stream.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "workloads/npy_header.h"
#include "workloads/npy_source.h"
#include "workloads/trace.h"

namespace moesim::workloads {
namespace {

// Ids of a block: few enough to stay in a core's cache. In Fortran order every id of a token lies elsewhere, and a
// block is a read for each: longer reads are worth more.
constexpr std::size_t kBlockIds = std::size_t{1} << 18;
constexpr std::size_t kFortranBlockIds = std::size_t{1} << 21;

constexpr std::array<std::string_view, 2> kNames{"routed_experts", "topk_ids"};

// Elements of type T as they lie in memory -> ids; returns whether all are valid. Nothing but a least and a greatest
// value: compilers make vectors of that.
template <class T>
bool convert(const char* raw, std::size_t count, std::uint16_t* ids) {
  T least = 0, greatest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, raw + i * sizeof(T), sizeof(T));
    least = std::min(least, value);
    greatest = std::max(greatest, value);
    ids[i] = static_cast<std::uint16_t>(value + 0);  // sign-extended: -1 becomes kPaddingId
  }
  return std::cmp_greater_equal(least, -1) && std::cmp_less_equal(greatest, kMaxExpertId);
}

using Convert = bool (*)(const char* raw, std::size_t count, std::uint16_t* ids);
// Null for elements in the byte order of another machine.
Convert converter(const NpyElement& element) {
  if (element.size > 1 && element.big_endian != (std::endian::native == std::endian::big)) return nullptr;
  switch (element.size) {
    case 1:
      return element.is_signed ? convert<std::int8_t> : convert<std::uint8_t>;
    case 2:
      return element.is_signed ? convert<std::int16_t> : convert<std::uint16_t>;
    case 4:
      return element.is_signed ? convert<std::int32_t> : convert<std::uint32_t>;
    default:
      return element.is_signed ? convert<std::int64_t> : convert<std::uint64_t>;
  }
}

}  // namespace

struct NpyStream::State {
  std::string path;
  std::unique_ptr<NpySource> source;
  NpyHeader header;
  NpyElement element;
  Convert convert = nullptr;
  std::int64_t next = 0;  // token
  std::vector<char> raw;
  std::vector<std::uint16_t> ids, column;

  std::size_t per_token() const { return static_cast<std::size_t>(header.shape[1] * header.shape[2]); }

  void read(std::uint64_t element_at, std::size_t count) {
    raw.resize(count * element.size);
    source->read(header.data + element_at * element.size, raw.data(), raw.size());
  }

  // Element by element: for foreign byte orders, and to find the id that is wrong.
  std::uint16_t id_of(const char* bytes, std::int64_t token, std::size_t within) const {
    const auto id = element.read(bytes);
    if (!id || *id < -1 || *id > kMaxExpertId)
      throw base::InputError(path,
                             "token " + std::to_string(token) + ", layer " + std::to_string(within / header.shape[2]),
                             "expert id " + (id ? std::to_string(*id) : "above 2^63") + " out of range",
                             "0 to " + std::to_string(kMaxExpertId) + ", or -1 for padding");
    return *id == -1 ? kPaddingId : static_cast<std::uint16_t>(*id);
  }

  void read_c_order(std::size_t count) {
    const std::size_t width = per_token(), total = count * width;
    read(static_cast<std::uint64_t>(next) * width, total);
    if (convert != nullptr && convert(raw.data(), total, ids.data())) return;
    for (std::size_t i = 0; i < total; ++i)
      ids[i] = id_of(raw.data() + i * element.size, next + static_cast<std::int64_t>(i / width), i % width);
  }

  // Element (t, l, i) lies at t + tokens * (l + layers * i): a run of `count` for every layer and choice.
  void read_fortran_order(std::size_t count) {
    const std::size_t layers = header.shape[1], k = header.shape[2], width = per_token();
    column.resize(count);
    for (std::size_t c = 0; c < width; ++c) {
      const std::size_t within = c % layers * k + c / layers;
      read(static_cast<std::uint64_t>(next) + header.shape[0] * c, count);
      if (convert == nullptr || !convert(raw.data(), count, column.data()))
        for (std::size_t t = 0; t < count; ++t)
          column[t] = id_of(raw.data() + t * element.size, next + static_cast<std::int64_t>(t), within);
      for (std::size_t t = 0; t < count; ++t) ids[t * width + within] = column[t];
    }
  }
};

NpyStream::NpyStream(const std::string& path) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.path = path;
  s.source = open_npy(path, kNames);
  s.header = read_npy_header(*s.source, path);
  s.element = parse_npy_element(s.header.descr, path);
  s.convert = converter(s.element);
  check_npy_shape(s.header, s.element, s.source->size() - s.header.data, path);
}

NpyStream::~NpyStream() = default;
NpyStream::NpyStream(NpyStream&&) noexcept = default;

std::int64_t NpyStream::tokens() const { return static_cast<std::int64_t>(state_->header.shape[0]); }
std::int32_t NpyStream::layers() const { return static_cast<std::int32_t>(state_->header.shape[1]); }
std::int32_t NpyStream::top_k() const { return static_cast<std::int32_t>(state_->header.shape[2]); }

std::span<const std::uint16_t> NpyStream::next() {
  State& s = *state_;
  const std::size_t width = s.per_token(), block = s.header.fortran_order ? kFortranBlockIds : kBlockIds;
  const std::size_t count =
      std::min<std::size_t>(std::max<std::size_t>(1, block / width), static_cast<std::size_t>(tokens() - s.next));
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
