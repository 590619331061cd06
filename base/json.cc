#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "base/file.h"

namespace moesim::base {
namespace {

std::string escape(std::string_view key) {  // RFC 6901
  std::string text;
  for (const char c : key) text += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return text;
}

// Watches the parser and refuses duplicate keys, which nlohmann::json would drop silently.
class DuplicateKeyCheck {
 public:
  explicit DuplicateKeyCheck(std::string file) : file_(std::move(file)) {}

  bool operator()(int /*depth*/, Json::parse_event_t event, const Json& parsed) {
    using Event = Json::parse_event_t;
    switch (event) {
      case Event::object_start:
      case Event::array_start:
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
    std::string pointer;
    for (const Scope& s : scopes_) pointer += "/" + (s.is_array ? std::to_string(s.index) : escape(s.key));
    throw InputError(file_, pointer, "duplicate key \"" + name + "\"", "each key once");
  }

  std::string file_;
  std::vector<Scope> scopes_;
};

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::pair<std::size_t, std::size_t> line_and_column(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte > 0 ? byte - 1 : 0, text.size()));
  const auto line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const auto start = before.rfind('\n');
  return {line, before.size() - (start == std::string_view::npos ? 0 : start + 1) + 1};
}

}  // namespace

JsonDocument parse_json(std::string_view text, std::string file) {
  JsonDocument document{std::move(file), std::make_shared<Json>(), {}};
  try {
    auto check = std::make_shared<DuplicateKeyCheck>(document.file);
    *document.root = Json::parse(text.begin(), text.end(),
                                 [check](int depth, Json::parse_event_t event, const Json& parsed) {
                                   return (*check)(depth, event, parsed);
                                 });
  } catch (const nlohmann::json::parse_error& error) {
    const auto [line, column] = line_and_column(text, error.byte);
    std::string why = error.what();
    for (const char* mark : {"while parsing", "last read", ": "}) {
      const auto at = why.rfind(mark);
      if (mark == std::string(": ") && at != std::string::npos) why = why.substr(at + 2);
    }
    throw InputError(document.file, "line " + std::to_string(line) + ", column " + std::to_string(column),
                     "not valid JSON: " + why);
  } catch (const nlohmann::json::exception& error) {
    throw InputError(document.file, "", std::string("not valid JSON: ") + error.what());
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
    if (lowest > std::numeric_limits<double>::lowest()) range += " of at least " + format_number(lowest, 6);
    if (highest < std::numeric_limits<double>::max()) range += " and at most " + format_number(highest, 6);
    fail("out of range", range);
  }
  return number;
}

std::int64_t JsonNode::integer(std::int64_t lowest, std::int64_t highest) const {
  const std::string range = "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest);
  if (!value_->is_number()) fail("not a number", range);
  const double number = value_->get<double>();
  if (number != std::floor(number)) fail("not a whole number", range);
  if (!(number >= static_cast<double>(lowest) && number <= static_cast<double>(highest))) fail("out of range", range);
  return value_->is_number_float() ? static_cast<std::int64_t>(number) : value_->get<std::int64_t>();
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
  if (value_->is_number()) fail(std::string("a ") + what + " without a unit", std::string("a text such as \"") + example + "\"");
  if (!value_->is_string()) fail(std::string("not a ") + what, std::string("a text such as \"") + example + "\"");
  try {
    return parse(value_->get<std::string>());
  } catch (const std::invalid_argument& error) {
    fail(std::string("not a ") + what, error.what());
  }
}

Bytes JsonNode::bytes() const { return quantity(parse_bytes, "number of bytes", "141 GiB"); }
Duration JsonNode::duration() const { return quantity(parse_duration, "duration", "1.5 us"); }
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
  MOESIM_CHECK(value_->is_object() && value_->contains(key), "no JSON member " + key);
  return JsonNode(*document_, (*value_)[key], pointer_ + "/" + escape(key));
}

void JsonNode::fail(const std::string& problem, const std::string& expected) const {
  std::string source = document_->file;
  std::size_t longest = 0;
  for (const auto& [prefix, origin] : document_->origins) {
    const bool under = pointer_.compare(0, prefix.size(), prefix) == 0 &&
                       (pointer_.size() == prefix.size() || pointer_[prefix.size()] == '/');
    if (under && prefix.size() >= longest) {
      source = origin;
      longest = prefix.size();
    }
  }
  throw InputError(source, pointer_.empty() ? "/" : pointer_, problem + ", got " + shown(*value_), expected);
}

JsonObject::JsonObject(JsonNode node, std::initializer_list<std::string_view> accepted) : node_(std::move(node)) {
  if (!node_.is_object()) node_.fail("not an object", "an object in { }");
  for (const auto& [key, value] : node_.json().items()) {
    if (std::find(accepted.begin(), accepted.end(), key) != accepted.end()) continue;
    const std::vector<std::string> words(accepted.begin(), accepted.end());
    node_.member(key).fail("unknown key \"" + key + "\"" + suggestion(key, words));
  }
}

bool JsonObject::has(std::string_view key) const { return node_.json().contains(key); }

JsonNode JsonObject::required(std::string_view key) const {
  if (!has(key)) node_.fail("missing key \"" + std::string(key) + "\"");
  return node_.member(std::string(key));
}

std::optional<JsonNode> JsonObject::optional(std::string_view key) const {
  if (!has(key)) return std::nullopt;
  return node_.member(std::string(key));
}

std::optional<std::string> did_you_mean(std::string_view word, const std::vector<std::string>& accepted) {
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : accepted) {  // Levenshtein distance, one row at a time
    std::vector<std::size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), 0U);
    for (std::size_t i = 0; i < word.size(); ++i) {
      std::size_t diagonal = row[0]++;
      for (std::size_t j = 0; j < candidate.size(); ++j) {
        const std::size_t substituted = diagonal + (word[i] == candidate[j] ? 0 : 1);
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
  std::string list;
  for (const std::string& candidate : accepted) list += (list.empty() ? "" : ", ") + candidate;
  return "; one of " + list;
}

}  // namespace moesim::base
