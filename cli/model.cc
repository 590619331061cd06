#include "workloads/model.h"

#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/verb.h"
#include "report/table.h"

namespace moesim::cli {
namespace {

std::string bytes_per_token(const workloads::Model& model, const std::string& dtype) {
  const base::JsonDocument document = base::parse_json("\"" + dtype + "\"", dtype);
  return base::to_string(workloads::read_bytes_per_token(base::JsonNode(document), model), 5);
}

void show(const std::string& preset, std::ostream& out) {
  const base::JsonDocument document = base::parse_json(base::Json{{"preset", preset}}.dump(), preset);
  const workloads::Model model = workloads::read_model(base::JsonNode(document));
  const double expert = 3.0 * model.hidden * model.expert_ffn;
  out << model.name << ": " << model.layers << " layers, " << model.moe_layers() << " of them with " << model.experts
      << " experts, top-" << model.top_k << "\n";
  report::Table table({"", "value"});
  const auto row = [&](const char* what, const std::string& value) { table.add_row({what, value}); };
  row("hidden size", std::to_string(model.hidden));
  row("expert FFN size", std::to_string(model.expert_ffn));
  row("shared experts", std::to_string(model.shared_experts));
  row("group-limited routing",
      model.groups > 1 ? std::to_string(model.top_groups) + " of " + std::to_string(model.groups) + " groups" : "no");
  row("weights", std::string(workloads::to_string(model.weights)));
  row("one expert's weights", base::to_string(base::Bytes(expert * workloads::bits_per_weight(model.weights) / 8), 4));
  row("experts of all layers",
      base::format_number((model.experts + model.shared_experts) * expert * model.moe_layers() / 1e9, 4) +
          " B parameters");
  for (const char* dtype : {"bf16", "fp8", "nvfp4"})
    row((std::string("one token on the wire, ") + dtype).c_str(), bytes_per_token(model, dtype));
  out << table.text();
}

}  // namespace

void add_model(CLI::App& program, Context& context) {
  CLI::App* verb = program.add_subcommand("model", "Show model presets");
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
    std::string preset;
    bool sources = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* show_verb = verb->add_subcommand("show", "A model's shape, and what its tokens weigh on the wire");
  show_verb->add_option("PRESET", options->preset, "A name of `moesim model list`")->required();
  show_verb->add_flag("--sources", options->sources, "The preset's data with the source of every value");
  show_verb->footer("Example: moesim model show qwen3-30b-a3b");
  show_verb->callback([options, &context] {
    context.action = [options, &context] {
      if (options->sources)
        context.out << workloads::model_preset_text(options->preset);
      else
        show(options->preset, context.out);
    };
  });
}

}  // namespace moesim::cli
