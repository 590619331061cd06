#include "base/patch.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace moesim::base {
namespace {

void record_leaves(JsonDocument& document, const Json& patch, const std::string& pointer, const std::string& source) {
  if (!patch.is_object()) {
    document.origins.emplace_back(pointer, source);
    return;
  }
  for (const auto& [key, value] : patch.items()) record_leaves(document, value, pointer + "/" + key, source);
}

}  // namespace

void apply_set(JsonDocument& document, std::string_view assignment) {
  const std::string source = "--set " + std::string(assignment);
  const auto equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0)
    throw InputError(source, "", "not an assignment", "path=value, such as step.tokens_per_gpu=64");
  std::string_view path = assignment.substr(0, equals);
  const std::string_view text = assignment.substr(equals + 1);

  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) value = std::string(text);

  Json* place = document.root.get();
  std::string pointer;
  while (true) {
    const auto dot = path.find('.');
    const std::string key(path.substr(0, dot));
    if (key.empty()) throw InputError(source, "", "an empty step in the path", "names separated by single dots");
    pointer += "/" + key;
    if (place->is_array()) {
      std::size_t index = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
      if (error != std::errc() || end != key.data() + key.size() || index >= place->size())
        throw InputError(source, pointer, "no such element", "an index below " + std::to_string(place->size()));
      place = &(*place)[index];
    } else if (place->is_object() || place->is_null()) {
      place = &(*place)[key];
    } else {
      throw InputError(source, pointer, "its parent is not an object or list");
    }
    if (dot == std::string_view::npos) break;
    path = path.substr(dot + 1);
  }
  *place = std::move(value);
  document.origins.emplace_back(pointer, source);
}

void apply_merge_patch(JsonDocument& document, const Json& patch, const std::string& source) {
  document.root->merge_patch(patch);
  record_leaves(document, patch, "", source);
}

}  // namespace moesim::base
