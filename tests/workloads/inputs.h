// Small inputs of the workload tests: JSON texts, scratch files, traces.
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "tests/scratch_folder.h"
#include "workloads/model.h"
#include "workloads/trace.h"

namespace moesim::tests {

// CHECK(text == Contains("part")) shows both when it fails.
struct Contains {
  std::string part;
  explicit Contains(std::string text) : part(std::move(text)) {}
  friend bool operator==(const std::string& text, const Contains& wanted) {
    return text.find(wanted.part) != std::string::npos;
  }
  friend std::ostream& operator<<(std::ostream& out, const Contains& wanted) {
    return out << "a text with \"" << wanted.part << '"';
  }
};

// A parsed text and its root, kept together.
struct JsonText {
  base::JsonDocument document;
  base::JsonNode node;
  explicit JsonText(const std::string& text, const std::string& file = "test.json")
      : document(base::parse_json(text, file)), node(document) {}
};

inline workloads::Model model_of(const std::string& json) { return workloads::read_model(JsonText(json).node); }
inline workloads::Model model_preset(const std::string& name) { return model_of("{\"preset\": \"" + name + "\"}"); }

// Token t chooses (31 t + 7 layer + i) mod experts, i = 0 ... top_k - 1, in every layer.
inline workloads::Trace made_up_trace(std::int64_t tokens, std::int32_t layers, std::int32_t top_k, int experts) {
  workloads::Trace trace;
  trace.tokens = tokens;
  trace.layers = layers;
  trace.top_k = top_k;
  trace.passes = {0, tokens};
  for (std::int32_t layer = 0; layer < layers; ++layer)
    for (std::int64_t t = 0; t < tokens; ++t)
      for (std::int32_t i = 0; i < top_k; ++i)
        trace.ids.push_back(static_cast<std::uint16_t>((31 * t + std::int64_t{7} * layer + i) % experts));
  return trace;
}

}  // namespace moesim::tests
