#include "workloads/npy_header.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "workloads/npy_source.h"

namespace moesim::workloads {
namespace {

constexpr std::size_t kLongestHeader = std::size_t{1} << 20;
// A token is held whole; 2,000 layers of top-512 are more than any model has.
constexpr std::uint64_t kMostIdsOfToken = std::uint64_t{1} << 20;

// The header is the literal of a Python dictionary: {'descr': '<i2', 'fortran_order': False, 'shape': (4, 2, 8), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  NpyHeader parse() {
    NpyHeader header;
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

}  // namespace

std::string shape_text(std::span<const std::uint64_t> shape) {
  std::string text;
  for (const std::uint64_t n : shape) text += (text.empty() ? "[" : ", ") + std::to_string(n);
  return text.empty() ? "[]" : text + "]";
}

std::size_t npy_header_size(std::string_view first_bytes, const std::string& file) {
  if (!first_bytes.starts_with(kNpyMagic))
    throw base::InputError(file, "", "not a .npy file", "a file saved with numpy.save");
  if (first_bytes.size() < 12) throw base::InputError(file, "header", "truncated file");
  const int version = static_cast<unsigned char>(first_bytes[6]);
  if (version < 1 || version > 3)
    throw base::InputError(file, "header", "unknown .npy version " + std::to_string(version), "version 1, 2 or 3");
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= static_cast<std::size_t>(static_cast<unsigned char>(first_bytes[8 + i])) << (8 * i);
  if (length > kLongestHeader)
    throw base::InputError(
        file, "header", "a header of " + std::to_string(length) + " bytes",
        "at most " + std::to_string(kLongestHeader) + ": the file is damaged, or no array of integers");
  return 8 + length_bytes + length;
}

NpyHeader parse_npy_header(std::string_view content, const std::string& file) {
  const std::size_t size = npy_header_size(content, file);
  if (content.size() < size) throw base::InputError(file, "header", "truncated file");
  const std::size_t begin = content[6] == 1 ? 10 : 12;
  NpyHeader header = HeaderParser(content.substr(begin, size - begin), file).parse();
  header.data = size;
  return header;
}

NpyHeader read_npy_header(NpySource& source, const std::string& file) {
  std::string head(std::min<std::uint64_t>(12, source.size()), '\0');
  source.read(0, head.data(), head.size());
  const std::size_t had = head.size();
  head.resize(std::min<std::uint64_t>(std::max(had, npy_header_size(head, file)), source.size()));
  source.read(had, head.data() + had, head.size() - had);
  return parse_npy_header(head, file);
}

NpyElement parse_npy_element(const std::string& descr, const std::string& file) {
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

void check_npy_size(const NpyHeader& header, std::size_t element_bytes, std::uint64_t available,
                    const std::string& file) {
  const std::string claim = "shape " + shape_text(header.shape) + " of " + header.descr;
  std::uint64_t bytes = element_bytes;
  for (const std::uint64_t n : header.shape) {
    if (n != 0 && bytes > available / n)
      throw base::InputError(
          file, "",
          "truncated file: " + claim + " needs more than the " + std::to_string(available) + " bytes of data");
    bytes *= n;
  }
  if (bytes != available)
    throw base::InputError(file, "",
                           "trailing bytes: " + claim + " is " + std::to_string(bytes) + " bytes, the file holds " +
                               std::to_string(available));
}

void check_npy_shape(const NpyHeader& header, const NpyElement& element, std::uint64_t available,
                     const std::string& file) {
  const auto& shape = header.shape;
  if (shape.size() != 3)
    throw base::InputError(file, "header", "shape " + shape_text(shape), "[tokens, moe_layers, top_k]");
  if (shape[0] == 0 || shape[1] == 0 || shape[2] == 0 || shape[1] > 0xffff || shape[2] > 0xffff ||
      shape[1] * shape[2] > kMostIdsOfToken)
    throw base::InputError(
        file, "header", "shape " + shape_text(shape),
        "[tokens, moe_layers, top_k] with no zero, at most " + std::to_string(kMostIdsOfToken) + " ids for a token");
  check_npy_size(header, element.size, available, file);
}

}  // namespace moesim::workloads
