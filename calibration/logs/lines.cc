#include "calibration/logs/lines.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace moesim::calibration {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// Walks a JSON text that is known to parse, and notes where the wanted pointer's value begins.
class PointerSearch {
 public:
  PointerSearch(std::string_view text, std::string_view wanted) : text_(text), wanted_(wanted) {}

  std::size_t line() {
    value("");
    if (found_ == std::string_view::npos) return 0;
    return 1 + static_cast<std::size_t>(
                   std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(found_), '\n'));
  }

 private:
  void blanks() { at_ = std::min(text_.find_first_not_of(kBlanks, at_), text_.size()); }
  bool ended() const { return at_ >= text_.size() || found_ != std::string_view::npos; }
  std::string string() {
    std::string out;
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
      if (at_ < text_.size()) out += text_[at_];
    }
    ++at_;
    return out;
  }
  void value(const std::string& pointer) {
    blanks();
    if (ended()) return;
    if (pointer == wanted_) {
      found_ = at_;
      return;
    }
    const char open = text_[at_];
    if (open == '"') {
      string();
      return;
    }
    if (open != '{' && open != '[') {
      at_ = std::min(text_.find_first_of(",]}\n", at_), text_.size());
      return;
    }
    ++at_;
    for (std::size_t index = 0; !ended(); ++index) {
      blanks();
      if (ended()) return;
      if (text_[at_] == '}' || text_[at_] == ']') {
        ++at_;
        return;
      }
      std::string key = std::to_string(index);
      if (open == '{') {
        key = string();
        at_ = std::min(text_.find(':', at_), text_.size()) + 1;
      }
      value(pointer + "/" + key);
      if (ended()) return;
      blanks();
      if (!ended() && text_[at_] == ',') ++at_;
    }
  }

  std::string_view text_, wanted_;
  std::size_t at_ = 0;
  std::size_t found_ = std::string_view::npos;
};

}  // namespace

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back({lines.size() + 1, trimmed(text.substr(begin, end - begin))});
    begin = end + 1;
  }
  return lines;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::size_t at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlanks, end);
  }
  return words;
}

void LogFile::fail(std::size_t line, const std::string& problem, const std::string& expected) const {
  throw base::InputError(name_, "line " + std::to_string(line), problem, expected);
}

double LogFile::number(std::size_t line, std::string_view word, const std::string& what, double lowest) const {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value) || value < lowest)
    fail(line, what + " is \"" + std::string(word) + "\"", "a number of at least " + base::format_number(lowest, 6));
  return value;
}

std::size_t line_of_pointer(std::string_view text, std::string_view pointer) {
  return PointerSearch(text, pointer).line();
}

std::string program_named(std::string_view text) {
  constexpr std::array<std::string_view, 10> kPrograms{"all_gather", "all_reduce", "reduce_scatter", "alltoallv",
                                                       "alltoall",   "all_to_all", "sendrecv",       "broadcast",
                                                       "reduce",     "hypercube"};
  for (const std::string_view program : kPrograms) {
    const std::size_t at = text.find(std::string(program) + "_perf");
    if (at == std::string_view::npos) continue;
    if (program == "reduce" && at >= 4 && text.substr(at - 4, 4) == "all_") continue;
    return std::string(program);
  }
  return "";
}

bool is_synthetic(std::string_view text) {
  for (const Line& line : lines_of(text)) {
    const std::size_t at = line.text.find_first_not_of("#\"{ \t");
    if (at != std::string_view::npos && line.text.substr(at).starts_with("synthetic")) {
      const std::string_view rest = line.text.substr(at + std::string_view("synthetic").size());
      if (rest.starts_with(":") || rest.starts_with("\":")) return true;
    }
  }
  return false;
}

}  // namespace moesim::calibration
