// Typed reading of JSON input. Every value knows its file and JSON pointer, so that each error names them.
//
//   JsonObject step(node, {"layer", "tokens_per_gpu"});   // refuses unknown keys first, with a "did you mean"
//   const int layer = step.required("layer").integer(0, 1000);
//   const int tokens = step.get("tokens_per_gpu", 128, [](const JsonNode& n) { return n.integer(1, 1 << 20); });
#pragma once

#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.h"
#include "base/units.h"

namespace moesim::base {

using Json = nlohmann::ordered_json;

// A parsed file. `origins` records where patched values came from (pointer prefix, source as errors print it); of
// several prefixes of one place the last counts.
struct JsonDocument {
  std::string file;
  std::shared_ptr<Json> root;
  std::vector<std::pair<std::string, std::string>> origins;
};

// Throws InputError for syntax errors (with line and column) and for duplicate keys (with their pointer).
JsonDocument parse_json(std::string_view text, std::string file);
JsonDocument load_json(const std::string& path);

// A view of one value; valid while its document lives.
class JsonNode {
 public:
  explicit JsonNode(const JsonDocument& document);

  bool is_object() const;
  bool is_array() const;
  bool is_string() const;
  bool is_number() const;
  bool is_null() const;

  std::string string() const;
  bool boolean() const;
  // A finite number in [lowest, highest].
  double number(double lowest = std::numeric_limits<double>::lowest(),
                double highest = std::numeric_limits<double>::max()) const;
  // A whole number in [lowest, highest]; 3.0 is accepted, 3.5 is not.
  std::int64_t integer(std::int64_t lowest, std::int64_t highest) const;
  // One of the texts in `accepted`; returns its index.
  std::size_t one_of(std::initializer_list<std::string_view> accepted) const;
  // Text with a unit. A bare number is an error that says so. Not negative.
  Bytes bytes() const;
  Duration duration() const;
  Bandwidth bandwidth() const;  // > 0
  FlopRate flop_rate() const;   // > 0
  Power power() const;
  Frequency frequency() const;

  std::size_t size() const;  // of an array (else InputError)
  JsonNode at(std::size_t index) const;
  JsonNode member(const std::string& key) const;  // must exist

  const Json& json() const { return *value_; }
  const JsonDocument& document() const { return *document_; }
  const std::string& pointer() const { return pointer_; }
  // Where the value came from, as errors print it: the file, or the patch that set it.
  std::string source() const { return source_of(pointer_); }

  // Throws InputError at this place. The problem is followed by "got VALUE" unless it quotes the text that was got.
  [[noreturn]] void fail(const std::string& problem, const std::string& expected = "") const;
  // Throws InputError at this object about one of its keys, present or not.
  [[noreturn]] void fail_key(std::string_view key, const std::string& problem) const;

 private:
  JsonNode(const JsonDocument& document, const Json& value, std::string pointer);
  template <class Parse>
  auto quantity(Parse parse, const char* what, const char* example) const;
  std::string source_of(const std::string& pointer) const;
  std::string place() const { return pointer_.empty() ? "/" : pointer_; }

  const JsonDocument* document_;
  const Json* value_;
  std::string pointer_;
};

// An object whose accepted keys are declared once, here. Unknown keys are refused before missing ones are noticed.
class JsonObject {
 public:
  JsonObject(JsonNode node, std::initializer_list<std::string_view> accepted);

  bool has(std::string_view key) const;
  JsonNode required(std::string_view key) const;
  std::optional<JsonNode> optional(std::string_view key) const;
  template <class T, class Read>
  T get(std::string_view key, T otherwise, Read read) const {
    const auto node = optional(key);
    return node ? static_cast<T>(read(*node)) : otherwise;
  }
  const JsonNode& node() const { return node_; }

 private:
  JsonNode node_;
};

// The accepted word nearest to `word`, if it is near enough to be a slip.
std::optional<std::string> did_you_mean(std::string_view word, const std::vector<std::string>& accepted);
// `; did you mean "x"?` when a word is near, else `; one of a, b, c`: the end of an "unknown name" message.
std::string suggestion(std::string_view word, const std::vector<std::string>& accepted);

}  // namespace moesim::base
