#include "workloads/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "base/file.h"

namespace moesim::workloads {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::size_t data = 0;  // offset of the first element
};

// The header is the literal of a Python dictionary: {'descr': '<i2', 'fortran_order': False, 'shape': (4, 2, 8), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Header parse() {
    Header header;
    std::array<bool, 3> seen{};
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") {
        if (peek() == '[') fail("a structured array (named fields)", "a plain array of integers");
        header.descr = quoted();
        seen[0] = true;
      } else if (key == "fortran_order") {
        header.fortran_order = truth();
        seen[1] = true;
      } else if (key == "shape") {
        header.shape = tuple();
        seen[2] = true;
      } else {
        fail("unknown header key '" + key + "'");
      }
      if (!take(',') && peek() != '}') fail("damaged header");
    }
    if (!(seen[0] && seen[1] && seen[2])) fail("damaged header", "descr, fortran_order and shape");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& problem, const std::string& expected = "") const {
    throw base::InputError(file_, "header", problem, expected);
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail("damaged header", std::string("'") + c + "' at byte " + std::to_string(at_));
  }
  std::string quoted() {
    const char mark = peek() == '"' ? '"' : '\'';
    expect(mark);
    const auto end = text_.find(mark, at_);
    if (end == std::string_view::npos) fail("damaged header", "a closing quote");
    std::string word(text_.substr(at_, end - at_));
    at_ = end + 1;
    return word;
  }
  bool truth() {
    peek();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return value;
    }
    fail("damaged header", "True or False");
  }
  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> values;
    expect('(');
    while (!take(')')) {
      peek();
      std::uint64_t value = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
      if (error != std::errc{}) fail("damaged shape", "whole numbers below 2^64");
      at_ = static_cast<std::size_t>(end - text_.data());
      values.push_back(value);
      if (!take(',') && peek() != ')') fail("damaged shape");
    }
    return values;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
};

Header parse_header(std::string_view content, const std::string& file) {
  if (!content.starts_with(kMagic)) throw base::InputError(file, "", "not a .npy file", "a file saved with numpy.save");
  if (content.size() < 12) throw base::InputError(file, "header", "truncated file");
  const int version = static_cast<unsigned char>(content[6]);
  if (version < 1 || version > 3)
    throw base::InputError(file, "header", "unknown .npy version " + std::to_string(version), "version 1, 2 or 3");
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= static_cast<std::size_t>(static_cast<unsigned char>(content[8 + i])) << (8 * i);
  const std::size_t begin = 8 + length_bytes;
  if (content.size() < begin || content.size() - begin < length)
    throw base::InputError(file, "header", "truncated file");
  Header header = HeaderParser(content.substr(begin, length), file).parse();
  header.data = begin + length;
  return header;
}

// How one element is stored.
struct Element {
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

Element parse_element(const std::string& descr, const std::string& file) {
  const auto refuse = [&](const std::string& what) {
    throw base::InputError(file, "header", what + " (descr '" + descr + "')", "integers of 1, 2, 4 or 8 bytes");
  };
  if (descr.find('O') != std::string::npos) refuse("an array of pickled Python objects");
  const bool has_order = !descr.empty() && std::string_view("<>|=").find(descr[0]) != std::string_view::npos;
  const std::string_view type = std::string_view(descr).substr(has_order ? 1 : 0);
  if (type.size() != 2 || (type[0] != 'i' && type[0] != 'u')) refuse("not an array of integers");
  const int size = type[1] - '0';
  if (size != 1 && size != 2 && size != 4 && size != 8) refuse("not an array of integers");
  return {static_cast<std::size_t>(size), type[0] == 'i', descr[0] == '>'};
}

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string text;
  for (const std::uint64_t n : shape) text += (text.empty() ? "[" : ", ") + std::to_string(n);
  return text.empty() ? "[]" : text + "]";
}

// Refuses what is not [tokens, layers, top_k] or does not have exactly `available` bytes.
void check_shape(const Header& header, const Element& element, std::size_t available, const std::string& file) {
  const auto& shape = header.shape;
  if (shape.size() != 3)
    throw base::InputError(file, "header", "shape " + shape_text(shape), "[tokens, moe_layers, top_k]");
  if (shape[0] == 0 || shape[1] == 0 || shape[2] == 0 || shape[1] > 0xffff || shape[2] > 0xffff)
    throw base::InputError(file, "header", "shape " + shape_text(shape),
                           "[tokens, moe_layers, top_k] with no zero, layers and top_k below 65536");
  const std::uint64_t per_token = shape[1] * shape[2] * element.size;  // below 2^35
  if (shape[0] > available / per_token)
    throw base::InputError(file, "",
                           "truncated file: shape " + shape_text(shape) + " of " + header.descr +
                               " needs more than the " + std::to_string(available) + " bytes of data");
  if (shape[0] * per_token != available)
    throw base::InputError(file, "",
                           "trailing bytes: shape " + shape_text(shape) + " of " + header.descr + " is " +
                               std::to_string(shape[0] * per_token) + " bytes, the file holds " +
                               std::to_string(available));
}

void convert(const char* data, const Header& header, const Element& element, const std::string& file, Trace& trace) {
  const auto tokens = header.shape[0], layers = header.shape[1], k = header.shape[2];
  trace.ids.resize(tokens * layers * k);
  std::uint16_t* out = trace.ids.data();
  for (std::uint64_t layer = 0; layer < layers; ++layer) {
    for (std::uint64_t token = 0; token < tokens; ++token) {
      for (std::uint64_t i = 0; i < k; ++i) {
        const std::uint64_t at =
            header.fortran_order ? token + tokens * (layer + layers * i) : (token * layers + layer) * k + i;
        const auto id = element.read(data + at * element.size);
        if (!id || *id < -1 || *id > kMaxExpertId)
          throw base::InputError(file, "token " + std::to_string(token) + ", layer " + std::to_string(layer),
                                 "expert id " + (id ? std::to_string(*id) : "above 2^63") + " out of range",
                                 "0 to " + std::to_string(kMaxExpertId) + ", or -1 for padding");
        *out++ = *id == -1 ? kPaddingId : static_cast<std::uint16_t>(*id);
      }
    }
  }
}

}  // namespace

Trace read_npy(const std::string& path) {
  const std::string content = base::read_file(path);
  const Header header = parse_header(content, path);
  const Element element = parse_element(header.descr, path);
  check_shape(header, element, content.size() - header.data, path);
  Trace trace;
  trace.tokens = static_cast<std::int64_t>(header.shape[0]);
  trace.layers = static_cast<std::int32_t>(header.shape[1]);
  trace.top_k = static_cast<std::int32_t>(header.shape[2]);
  trace.source = path + " (content " + base::content_hash(content) + ")";
  convert(content.data() + header.data, header, element, path, trace);
  finish_trace(trace, path);
  return trace;
}

void write_npy(const Trace& trace, const std::string& path) {
  const bool wide = std::any_of(trace.ids.begin(), trace.ids.end(), [](std::uint16_t id) { return id > 0x7fff; });
  std::string header = std::string("{'descr': '") + (wide ? "<u2" : "<i2") + "', 'fortran_order': False, 'shape': (" +
                       std::to_string(trace.tokens) + ", " + std::to_string(trace.layers) + ", " +
                       std::to_string(trace.top_k) + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');  // data starts at a multiple of 64 bytes
  header += '\n';
  std::string content(kMagic);
  content += {'\x01', '\x00', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  content += header;
  content.reserve(content.size() + 2 * trace.ids.size());
  const auto k = static_cast<std::size_t>(trace.top_k);
  for (std::int64_t token = 0; token < trace.tokens; ++token) {
    for (std::int32_t layer = 0; layer < trace.layers; ++layer) {
      for (const std::uint16_t id : trace.layer(layer).experts.subspan(static_cast<std::size_t>(token) * k, k)) {
        content += static_cast<char>(id & 0xff);
        content += static_cast<char>(id >> 8);
      }
    }
  }
  base::write_file(path, content);
}

}  // namespace moesim::workloads
