// Scenarios of whole-model steps for tests.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/file.h"
#include "sim/scenario.h"

namespace moesim::tests {

// A star of NVLinks without latency.
inline std::string star(int gpus, const std::string& gpu = "h100", const std::string& bandwidth = "450 GB/s") {
  return R"({"star": {"gpus": )" + std::to_string(gpus) + R"(, "gpu": ")" + gpu + R"(", "bandwidth": ")" + bandwidth +
         R"(", "latency": "0 us"}})";
}

// DeepSeek-V3 with 3 layers, of which the first is dense.
inline constexpr const char* kShort =
    R"({"preset": "deepseek-v3", "layers": 3, "dense_layers": 1, "dense_ffn_layers": 1,
    "attention": [{"kind": "mla", "layers": 3, "heads": 128, "head_dim": 128, "v_head_dim": 128, "q_rank": 1536,
                   "kv_rank": 512, "rope_dim": 64}]})";

struct Parts {
  std::string cluster = star(8);
  std::string model = kShort;
  std::string routing = R"({"generate": {"preset": "deepseek-v3-decode", "seed": 1}})";
  std::string step = R"("batch": 32, "kv_tokens": 1024)";  // beside the scope
  std::string communication = R"({"kernel": "auto"})";     // empty: no such section
  std::string more;                                        // other sections: R"("plan": {...})"
};

inline sim::Scenario read(const Parts& parts) {
  std::string text = R"({"schema": "moesim.scenario/1", "name": "test", "cluster": )" + parts.cluster +
                     R"(, "model": )" + parts.model + R"(, "step": {"scope": "model", )" + parts.step + "}";
  if (!parts.routing.empty()) text += R"(, "routing": )" + parts.routing;
  if (!parts.communication.empty()) text += R"(, "communication": )" + parts.communication;
  if (!parts.more.empty()) text += ", " + parts.more;
  return sim::read_scenario(base::parse_json(text + "}", "test.json"));
}

inline results::Result run(const Parts& parts) { return sim::run(read(parts)); }

inline const results::Phase* find_phase(const results::Result& result, const std::string& name) {
  const auto found =
      std::find_if(result.phases.begin(), result.phases.end(), [&](const results::Phase& p) { return p.name == name; });
  return found == result.phases.end() ? nullptr : &*found;
}

inline results::Phase phase(const results::Result& result, const std::string& name) {
  const results::Phase* found = find_phase(result, name);
  REQUIRE_MESSAGE(found != nullptr, "no phase " << name);
  return *found;
}

// A dense transformer: its published configuration in a file, and a model section that reads it.
class DenseModel {
 public:
  DenseModel()
      : path_(std::filesystem::temp_directory_path() / ("moesim-dense-" + std::to_string(getpid()) + ".json")) {
    base::write_file(path_, R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 4,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 14336,
        "vocab_size": 128256, "tie_word_embeddings": false})");
  }
  ~DenseModel() { std::filesystem::remove(path_); }
  DenseModel(const DenseModel&) = delete;
  DenseModel& operator=(const DenseModel&) = delete;
  std::string section() const { return "{\"config\": \"" + path_.string() + "\"}"; }

 private:
  std::filesystem::path path_;
};

}  // namespace moesim::tests
