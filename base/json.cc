#include "base/json.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>
#include <set>

#include <nlohmann/json.hpp>

#include "base/file.h"

namespace moesim::base {
namespace {

constexpr std::size_t kDeepest = 100;  // nesting that no sane input reaches, and no recursion over it overflows

std::string step(std::string_view key) {  // "/key", escaped as RFC 6901 says
  return (Json::json_pointer() / std::string(key)).to_string();
}

// Watches the parser, knows where it is, and refuses duplicate keys (which nlohmann::json would drop silently) and
// bottomless nesting.
class ParseWatch {
 public:
  explicit ParseWatch(std::string file) : file_(std::move(file)) {}

  bool operator()(int /*depth*/, Json::parse_event_t event, const Json& parsed) {
    using Event = Json::parse_event_t;
    switch (event) {
      case Event::object_start:
      case Event::array_start:
        if (scopes_.size() == kDeepest)
          throw InputError(file_, pointer(), "nested more than " + std::to_string(kDeepest) + " deep");
        scopes_.push_back({event == Event::array_start, 0, {}, {}});
        break;
      case Event::key:
        take_key(parsed.get<std::string>());
        break;
      case Event::object_end:
      case Event::array_end:
        scopes_.pop_back();
        [[fallthrough]];
      case Event::value:
        if (!scopes_.empty() && scopes_.back().is_array) ++scopes_.back().index;
        break;
    }
    return true;
  }

  // Of the value being read.
  std::string pointer() const {
    std::string text;
    for (const Scope& s : scopes_) text += s.is_array ? "/" + std::to_string(s.index) : step(s.key);
    return text;
  }

 private:
  struct Scope {
    bool is_array = false;
    std::size_t index = 0;
    std::string key;
    std::set<std::string> keys;
  };

  void take_key(const std::string& name) {
    scopes_.back().key = name;
    if (scopes_.back().keys.insert(name).second) return;
    throw InputError(file_, pointer(), "duplicate key \"" + name + "\"", "each key once");
  }

  std::string file_;
  std::vector<Scope> scopes_;
};

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// "line 3, column 7" of an offset.
std::string line_and_column(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const auto start = before.rfind('\n');
  const std::size_t column = before.size() - (start == std::string_view::npos ? 0 : start + 1) + 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

void replace(std::string& text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  if (at != std::string::npos) text.replace(at, from.size(), to);
}

// From "[json.exception.parse_error.101] parse error at line 1, column 7: syntax error while parsing value - invalid
// literal; last read: '"a": N'" to "line 1, column 7: not valid JSON: invalid literal "NaN"".
InputError syntax_error(const std::string& file, std::string_view text, const nlohmann::json::parse_error& error) {
  std::string why = error.what();
  if (const auto dash = why.find(" - "); dash != std::string::npos) why.erase(0, dash + 3);
  if (const auto read = why.find("; last read: '"); read != std::string::npos) {
    const auto rest = why.rfind("'; expected");
    why.erase(read, rest == std::string::npos || rest < read ? std::string::npos : rest + 1 - read);
  }
  replace(why, "; expected '}'", "; expected ',' or '}'");
  replace(why, "; expected ']'", "; expected ',' or ']'");
  replace(why, "string literal", "text in quotes");

  std::size_t begin = std::min(std::max<std::size_t>(error.byte, 1) - 1, text.size());
  if (why.find("invalid literal") != std::string::npos) {
    const auto in_word = [&](std::size_t i) {
      return i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) != 0 || text[i] == '_');
    };
    if (begin > 0 && !in_word(begin) && in_word(begin - 1)) --begin;  // noticed only at the end of the word
    while (begin > 0 && in_word(begin) && in_word(begin - 1)) --begin;
    std::size_t end = std::min(begin + 1, text.size());
    while (in_word(begin) && in_word(end) && end - begin < 30) ++end;
    replace(why, "invalid literal", "unexpected " + std::string(text.substr(begin, end - begin)));
  }
  return {file, line_and_column(text, begin), "not valid JSON: " + why};
}

}  // namespace

JsonDocument parse_json(std::string_view text, std::string file) {
  JsonDocument document{std::move(file), std::make_shared<Json>(), {}};
  ParseWatch watch(document.file);
  try {
    *document.root = Json::parse(
        text.begin(), text.end(),
        [&watch](int depth, Json::parse_event_t event, const Json& parsed) { return watch(depth, event, parsed); });
  } catch (const nlohmann::json::parse_error& error) {
    throw syntax_error(document.file, text, error);
  } catch (const nlohmann::json::exception& error) {  // a number that no double holds
    std::string why = error.what();
    why.erase(0, why.find("] ") + 2);
    throw InputError(document.file, watch.pointer(), why);
  }
  return document;
}

JsonDocument load_json(const std::string& path) { return parse_json(read_file(path), path); }

JsonNode::JsonNode(const JsonDocument& document) : JsonNode(document, *document.root, "") {}

JsonNode::JsonNode(const JsonDocument& document, const Json& value, std::string pointer)
    : document_(&document), value_(&value), pointer_(std::move(pointer)) {}

bool JsonNode::is_object() const { return value_->is_object(); }
bool JsonNode::is_array() const { return value_->is_array(); }
bool JsonNode::is_string() const { return value_->is_string(); }
bool JsonNode::is_number() const { return value_->is_number(); }
bool JsonNode::is_null() const { return value_->is_null(); }

std::string JsonNode::string() const {
  if (!value_->is_string()) fail("not a text", "a text in quotes");
  return value_->get<std::string>();
}

bool JsonNode::boolean() const {
  if (!value_->is_boolean()) fail("not a truth value", "true or false");
  return value_->get<bool>();
}

double JsonNode::number(double lowest, double highest) const {
  if (!value_->is_number()) fail("not a number", "a number");
  const double number = value_->get<double>();
  if (!std::isfinite(number) || number < lowest || number > highest) {
    std::string range = "a finite number";
    if (lowest > std::numeric_limits<double>::lowest()) range += " of at least " + format_number(lowest, 17);
    if (highest < std::numeric_limits<double>::max()) range += " and at most " + format_number(highest, 17);
    fail("out of range", range);
  }
  return number;
}

std::int64_t JsonNode::integer(std::int64_t lowest, std::int64_t highest) const {
  const std::string range = "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest);
  if (!value_->is_number()) fail("not a number", range);
  const double number = value_->get<double>();
  if (number != std::floor(number)) fail("not a whole number", range);
  if (!(std::abs(number) < 0x1p63)) fail("out of range", range);
  const auto whole = value_->is_number_float() ? static_cast<std::int64_t>(number) : value_->get<std::int64_t>();
  if (whole < lowest || whole > highest) fail("out of range", range);
  return whole;
}

std::size_t JsonNode::one_of(std::initializer_list<std::string_view> accepted) const {
  const std::string text = string();
  const auto found = std::find(accepted.begin(), accepted.end(), text);
  if (found == accepted.end()) {
    std::string list;
    for (const std::string_view word : accepted) list += (list.empty() ? "" : ", ") + std::string(word);
    fail("not one of the accepted words", list);
  }
  return static_cast<std::size_t>(found - accepted.begin());
}

template <class Parse>
auto JsonNode::quantity(Parse parse, const char* what, const char* example) const {
  if (value_->is_number())
    fail(std::string("a ") + what + " without a unit", std::string("a text such as \"") + example + "\"");
  if (!value_->is_string()) fail(std::string("not a ") + what, std::string("a text such as \"") + example + "\"");
  try {
    return parse(value_->get<std::string>());
  } catch (const std::invalid_argument& error) {
    fail(std::string("not a ") + what, error.what());
  }
}

Bytes JsonNode::bytes() const { return quantity(parse_bytes, "number of bytes", "141 GiB"); }
Duration JsonNode::duration() const { return quantity(parse_duration, "duration", "1.5 us"); }
Frequency JsonNode::frequency() const { return quantity(parse_frequency, "frequency", "1.83 GHz"); }
Power JsonNode::power() const { return quantity(parse_power, "power", "700 W"); }
Bandwidth JsonNode::bandwidth() const {
  const Bandwidth value = quantity(parse_bandwidth, "bandwidth", "450 GB/s");
  if (value <= Bandwidth(0)) fail("out of range", "a bandwidth above zero");
  return value;
}
FlopRate JsonNode::flop_rate() const {
  const FlopRate value = quantity(parse_flop_rate, "rate of operations", "989 TFLOP/s");
  if (value <= FlopRate(0)) fail("out of range", "a rate above zero");
  return value;
}

std::size_t JsonNode::size() const {
  if (!value_->is_array()) fail("not a list", "a list in [ ]");
  return value_->size();
}

JsonNode JsonNode::at(std::size_t index) const {
  MOESIM_CHECK(index < size(), "index beyond a JSON list");
  return JsonNode(*document_, (*value_)[index], pointer_ + "/" + std::to_string(index));
}

JsonNode JsonNode::member(const std::string& key) const {
  if (!value_->is_object()) fail("not an object", "an object in { }");
  if (!value_->contains(key)) fail_key(key, "missing key \"" + key + "\"");
  return JsonNode(*document_, (*value_)[key], pointer_ + step(key));
}

std::string JsonNode::source_of(const std::string& pointer) const {
  std::string source = document_->file;
  for (const auto& [prefix, origin] : document_->origins) {
    const bool under =
        pointer.starts_with(prefix) && (pointer.size() == prefix.size() || pointer[prefix.size()] == '/');
    if (under) source = origin;
  }
  return source;
}

void JsonNode::fail(const std::string& problem, const std::string& expected) const {
  const std::string value = shown(*value_);
  const bool said = value_->is_string() && problem.find(value) != std::string::npos;
  throw InputError(source_of(pointer_), place(), said ? problem : problem + ", got " + value, expected);
}

void JsonNode::fail_key(std::string_view key, const std::string& problem) const {
  throw InputError(source_of(pointer_ + step(key)), place(), problem);
}

JsonObject::JsonObject(JsonNode node, std::initializer_list<std::string_view> accepted) : node_(std::move(node)) {
  if (!node_.is_object()) node_.fail("not an object", "an object in { }");
  for (const auto& [key, value] : node_.json().items()) {
    if (std::find(accepted.begin(), accepted.end(), key) != accepted.end()) continue;
    const std::vector<std::string> words(accepted.begin(), accepted.end());
    node_.fail_key(key, "unknown key \"" + key + "\"" + suggestion(key, words));
  }
}

bool JsonObject::has(std::string_view key) const { return node_.json().contains(key); }

JsonNode JsonObject::required(std::string_view key) const {
  if (!has(key)) node_.fail_key(key, "missing key \"" + std::string(key) + "\"");
  return node_.member(std::string(key));
}

std::optional<JsonNode> JsonObject::optional(std::string_view key) const {
  if (!has(key)) return std::nullopt;
  return node_.member(std::string(key));
}

std::optional<std::string> did_you_mean(std::string_view word, const std::vector<std::string>& accepted) {
  const auto plain = [](char c) {
    return c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  };
  std::optional<std::string> best;
  std::size_t best_distance = (word.size() + 2) / 3 + 1;
  for (const std::string& candidate : accepted) {  // Levenshtein distance, one row at a time
    std::vector<std::size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), 0U);
    for (const char letter : word) {
      std::size_t diagonal = row[0]++;
      for (std::size_t j = 0; j < candidate.size(); ++j) {
        const std::size_t substituted = diagonal + (plain(letter) == plain(candidate[j]) ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({substituted, diagonal + 1, row[j] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& accepted) {
  if (const auto near = did_you_mean(word, accepted)) return "; did you mean \"" + *near + "\"?";
  std::string list, with_word;
  for (const std::string& candidate : accepted) {
    list += (list.empty() ? "" : ", ") + candidate;
    if (word.size() >= 3 && candidate.find(word) != std::string::npos)
      with_word += (with_word.empty() ? "" : ", ") + candidate;
  }
  return with_word.empty() ? "; one of " + list : "; did you mean one of " + with_word + "?";
}

}  // namespace moesim::base
