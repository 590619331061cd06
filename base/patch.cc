#include "base/patch.h"

#include <charconv>

#include <nlohmann/json.hpp>

namespace moesim::base {
namespace {

std::string child(const std::string& pointer, const std::string& key) {
  return pointer + (Json::json_pointer() / key).to_string();
}

void record_origin(JsonDocument& document, const std::string& pointer, const std::string& source) {
  std::erase_if(document.origins,
                [&](const auto& origin) { return origin.first == pointer || origin.first.starts_with(pointer + "/"); });
  document.origins.emplace_back(pointer, source);
}

// `place`: what the patch meets at `pointer` (null if nothing); all that it does not merge into is the patch's own.
void record_merged(JsonDocument& document, const Json* place, const Json& patch, const std::string& pointer,
                   const std::string& source) {
  if (!patch.is_object() || place == nullptr || !place->is_object()) return record_origin(document, pointer, source);
  for (const auto& [key, value] : patch.items()) {
    const auto found = place->find(key);
    record_merged(document, found == place->end() ? nullptr : &*found, value, child(pointer, key), source);
  }
}

// JSON, or a text when it is not; what begins like a list, object or quoted text must be JSON.
Json parse_value(std::string_view text, const std::string& source) {
  const auto first = text.find_first_not_of(" \t");
  if (first != std::string_view::npos && std::string_view("{[\"").find(text[first]) != std::string_view::npos)
    return *parse_json(text, source).root;
  Json value = Json::parse(text, nullptr, false);
  return value.is_discarded() ? Json(std::string(text)) : value;
}

std::vector<std::string> split(std::string_view path, const std::string& source) {
  std::vector<std::string> steps;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    steps.emplace_back(path.substr(begin, end - begin));
    if (steps.back().empty())
      throw InputError(source, "", "an empty step in the path", "names separated by single dots");
    begin = end + 1;
  }
  return steps;
}

}  // namespace

void apply_set(JsonDocument& document, std::string_view assignment) {
  const std::string source = "--set " + std::string(assignment);
  const auto equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0)
    throw InputError(source, "", "not an assignment", "path=value, such as step.tokens_per_gpu=64");
  const std::vector<std::string> steps = split(assignment.substr(0, equals), source);
  Json value = parse_value(assignment.substr(equals + 1), source);

  Json* place = document.root.get();
  std::string pointer;
  std::string ours;  // the outermost value that the assignment makes, not only the innermost
  for (const std::string& key : steps) {
    pointer = child(pointer, key);
    if (place->is_array()) {
      std::size_t index = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
      if (error != std::errc() || end != key.data() + key.size() || index >= place->size())
        throw InputError(
            source, pointer, "no such element",
            place->empty() ? "nothing: the list is empty" : "an index below " + std::to_string(place->size()));
      place = &(*place)[index];
    } else if (place->is_object() || place->is_null()) {
      if (ours.empty() && !place->contains(key)) ours = pointer;
      place = &(*place)[key];
    } else {
      throw InputError(source, pointer, "its parent is not an object or list");
    }
  }
  *place = std::move(value);
  record_origin(document, ours.empty() ? pointer : ours, source);
}

void apply_merge_patch(JsonDocument& document, const Json& patch, const std::string& source) {
  record_merged(document, document.root.get(), patch, "", source);
  document.root->merge_patch(patch);
}

}  // namespace moesim::base
