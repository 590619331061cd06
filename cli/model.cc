#include "workloads/model.h"

#include <algorithm>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/verb.h"
#include "report/table.h"
#include "workloads/config.h"
#include "workloads/parameters.h"

namespace moesim::cli {
namespace {

using workloads::Model;

std::string bytes_per_token(const Model& model, const std::string& dtype) {
  const base::JsonDocument document = base::parse_json("\"" + dtype + "\"", dtype);
  return base::to_string(workloads::read_bytes_per_token(base::JsonNode(document), model), 5);
}

// A preset's name, a published configuration, a file with a model section of ours or a scenario.
Model load(const std::string& name) {
  const auto presets = workloads::model_presets();
  if (std::find(presets.begin(), presets.end(), name) != presets.end()) {
    const base::JsonDocument document = base::parse_json(base::Json{{"preset", name}}.dump(), name);
    return workloads::read_model(base::JsonNode(document));
  }
  if (name.find('.') == std::string::npos && name.find('/') == std::string::npos)
    workloads::model_preset_text(name);  // fails, naming the presets
  return workloads::load_model_file(name);
}

std::string billions(double count) { return base::format_number(count / 1e9, count < 1e11 ? 3 : 4) + " B"; }

std::string layers_with_experts(const Model& m) {
  if (m.moe_at.empty()) {
    if (m.dense_layers == 0) return "all";
    return std::to_string(m.dense_layers) + " to " + std::to_string(m.layers - 1) + " (counted from 0)";
  }
  constexpr std::size_t kMostShown = 6;
  std::string text;
  for (std::size_t i = 0; i < m.moe_at.size(); ++i) {
    const bool left_out = m.moe_at.size() > kMostShown && i >= kMostShown - 2 && i + 1 < m.moe_at.size();
    if (left_out && i > kMostShown - 2) continue;
    text += (text.empty() ? "" : ", ") + (left_out ? "..." : std::to_string(m.moe_at[i]));
  }
  return text + " (counted from 0)";
}

std::string describe(const workloads::Attention& a) {
  const auto number = [](std::int32_t n) { return std::to_string(n); };
  std::string text = number(a.layers) + " x ";
  switch (a.kind) {
    case workloads::AttentionKind::Gqa:
      text +=
          number(a.heads) + " heads, " + number(a.kv_heads) + " of keys and values, " + number(a.head_dim) + " wide";
      break;
    case workloads::AttentionKind::Mla:
      text += "latent (MLA), " + number(a.heads) + " heads, cache " + number(a.kv_rank) + " + " + number(a.rope_dim);
      break;
    case workloads::AttentionKind::Compressed:
      text += a.compression > 0 ? number(a.heads) + " heads, 1 cached vector of " + number(a.head_dim) + " per " +
                                      number(a.compression) + " tokens"
                                : number(a.heads) + " heads, no compressed cache";
      break;
    case workloads::AttentionKind::Linear:
      text += "linear, " + number(a.heads) + " heads, state " + number(a.head_dim) + " x " + number(a.value_dim());
      break;
    case workloads::AttentionKind::Mamba:
      text += "mamba, " + number(a.heads) + " heads, state " + number(a.head_dim) + " x " + number(a.state_dim);
      break;
  }
  if (a.window > 0) text += ", window " + number(a.window);
  if (a.index_top > 0) text += ", sparse: " + number(a.index_top) + " tokens";
  return text;
}

class Description {
 public:
  explicit Description(const Model& model) : m_(model) {}

  std::string text() {
    shape();
    parameters();
    wire();
    memory();
    return head() + table_.text() + notes();
  }

 private:
  void row(const std::string& what, const std::string& value) { table_.add_row({what, value}); }

  std::string head() const {
    const std::string layers = m_.name + ": " + std::to_string(m_.layers) + " layers, ";
    if (m_.moe_layers() == 0) return layers + "no MoE layers\n";
    return layers + std::to_string(m_.moe_layers()) + " of them with " + std::to_string(m_.experts) + " experts, top-" +
           std::to_string(m_.top_k) + "\n";
  }

  void shape() {
    row("hidden size", std::to_string(m_.hidden));
    if (m_.moe_layers() > 0) {
      row("layers with experts", layers_with_experts(m_));
      row("expert FFN size", std::to_string(m_.expert_ffn));
      if (m_.expert_matrices == 2) row("expert matrices", "2 (no gate)");
      row("dispatch width", std::to_string(m_.dispatch_width()) + (m_.latent_width > 0 ? " (latent)" : " (hidden)"));
      std::string shared = std::to_string(m_.shared_experts);
      if (m_.shared_experts > 0) shared += ", FFN size " + std::to_string(m_.shared_width());
      row("shared experts", shared);
      row("group-limited routing",
          m_.groups > 1 ? std::to_string(m_.top_groups) + " of " + std::to_string(m_.groups) + " groups" : "no");
    }
    if (m_.dense_ffn_layers > 0)
      row("dense FFN", std::to_string(m_.dense_ffn_layers) + " layers, size " + std::to_string(m_.dense_ffn));
    for (std::size_t i = 0; i < m_.attention.size(); ++i) row(i == 0 ? "attention" : "", describe(m_.attention[i]));
    if (m_.moe_layers() > 0)
      row("weights", std::string("experts ") + std::string(to_string(m_.expert_weights)) + ", others " +
                         std::string(to_string(m_.other_weights)));
    else
      row("weights", std::string(to_string(m_.other_weights)));
  }

  void parameters() {
    const workloads::Parameters p = workloads::count_parameters(m_);
    if (m_.attention.empty()) {
      row("parameters of experts", billions(p.routed + p.shared) + " (attention is not described)");
    } else {
      row("parameters", billions(p.total()));
      row("active per token",
          billions(p.active()) +
              (p.output > 0 ? "; without the input embedding " + billions(p.active_without_embedding()) : ""));
      row("all weights", base::to_string(workloads::weight_bytes(m_), 4));
    }
    if (m_.moe_layers() > 0) row("one expert's weights", base::to_string(workloads::expert_bytes(m_), 4));
  }

  void wire() {
    if (m_.moe_layers() == 0) return;
    for (const char* dtype : {"bf16", "fp8", "nvfp4"})
      row(std::string("one token to dispatch or combine, ") + dtype, bytes_per_token(m_, dtype));
  }

  void memory() {
    if (m_.attention.empty()) return;
    const auto both = [&](const auto& bytes) {
      return base::to_string(bytes(m_, 2.0), 4) + "; fp8 " + base::to_string(bytes(m_, 1.0), 4);
    };
    row("KV cache per token, bf16", both(workloads::cache_bytes_per_token));
    if (workloads::state_bytes(m_, 1) > base::Bytes(0))
      row("and per sequence (windows, states)", both(workloads::state_bytes));
  }

  std::string notes() const {
    std::vector<std::string> notes = m_.assumed;
    if (workloads::bits_per_weight(m_.expert_weights) < 8 && m_.weights == workloads::Dtype::Bf16 &&
        m_.moe_layers() > 0)
      notes.push_back("experts stored in " + std::string(to_string(m_.expert_weights)) + " are multiplied in bf16");
    std::string text = notes.empty() ? "" : "Assumed:\n";
    for (const std::string& note : notes) text += report::wrap("  - " + note, 4);
    return text;
  }

  const Model& m_;
  report::Table table_{{"", "value"}};
};

}  // namespace

void add_model(CLI::App& program, Context& context) {
  CLI::App* verb = program.add_subcommand("model", "Show model presets and published configurations");
  verb->require_subcommand(1);
  verb->footer("Example: moesim model show deepseek-v3");
  CLI::App* list_verb = verb->add_subcommand("list", "The model presets");
  list_verb->footer("Example: moesim model list");
  list_verb->callback([&context] {
    context.action = [&context] {
      for (const std::string& name : workloads::model_presets()) context.out << name << "\n";
    };
  });

  struct Options {
    std::string model;
    bool sources = false;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* show_verb = verb->add_subcommand("show", "A model's shape, its weights, and what its tokens weigh");
  show_verb->add_option("MODEL", options->model, "A name of `moesim model list`, a config.json or a model file")
      ->required();
  CLI::Option* json = show_verb->add_flag("--json", options->json, "As a scenario's \"model\" section");
  show_verb->add_flag("--sources", options->sources, "The preset's data with the source of every value")
      ->excludes(json);
  show_verb->footer("Example: moesim model show qwen3-30b-a3b");
  show_verb->callback([options, &context] {
    context.action = [options, &context] {
      if (options->sources) {
        context.out << workloads::model_preset_text(options->model);
        return;
      }
      const Model model = load(options->model);
      if (options->json)
        context.out << workloads::to_json(model).dump(1) << "\n";
      else
        context.out << Description(model).text();
    };
  });
}

}  // namespace moesim::cli
