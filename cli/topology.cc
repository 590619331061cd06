#include <algorithm>
#include <filesystem>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/patch.h"
#include "cli/verb.h"
#include "report/table.h"
#include "topology/cluster.h"
#include "topology/dot.h"
#include "topology/summary.h"

namespace moesim::cli {
namespace {

using topology::Cluster;

bool is_preset(const std::string& name) {
  const auto presets = topology::preset_list();
  return std::any_of(presets.begin(), presets.end(), [&](const auto& preset) { return preset.name == name; });
}

// A preset's name, a cluster file, or a scenario file, patched.
base::JsonDocument cluster_document(const std::string& cluster, const std::vector<std::string>& sets) {
  if (!is_preset(cluster) && cluster.find_first_of("./") == std::string::npos && !std::filesystem::exists(cluster)) {
    std::vector<std::string> names;
    for (const auto& preset : topology::preset_list()) names.push_back(preset.name);
    throw base::InputError("", "", "unknown cluster \"" + cluster + "\"" + base::suggestion(cluster, names));
  }
  base::JsonDocument document =
      is_preset(cluster) ? base::parse_json("{\"preset\": \"" + cluster + "\"}", cluster) : base::load_json(cluster);
  if (document.root->is_object() && document.root->contains("schema") && document.root->contains("cluster"))
    *document.root = base::Json((*document.root)["cluster"]);
  for (const std::string& set : sets) base::apply_set(document, set);
  return document;
}

void list(std::ostream& out) {
  std::string text;
  std::size_t width = 0;
  const auto presets = topology::preset_list();
  for (const auto& preset : presets) width = std::max(width, preset.name.size());
  for (const auto& preset : presets)
    text += preset.name + std::string(width - preset.name.size() + 2, ' ') + preset.summary + "\n";
  out << text;
}

std::string range(const topology::Range<base::Bandwidth>& values) {
  if (values.lowest == values.highest) return base::to_string(values.lowest);
  return base::to_string(values.lowest) + " to " + base::to_string(values.highest);
}

void describe(const Cluster& cluster, std::ostream& out) {
  const topology::Summary summary = topology::summarize(cluster);
  out << cluster.name << ": " << summary.gpus << " GPUs (" << cluster.gpu << ") in " << summary.nodes << " node"
      << (summary.nodes == 1 ? "" : "s");
  if (summary.domains > 0) out << ", " << summary.domains << " NVLink domain" << (summary.domains == 1 ? "" : "s");
  out << "\n";
  report::Table table({"links", "count", "lanes", "per GPU and direction"});
  for (std::size_t kind = 0; kind < topology::kLinkKindCount; ++kind) {
    const topology::PortTotals& all = summary.all[kind];
    if (all.links == 0) continue;
    const topology::Range<base::Bandwidth>& gpu = summary.per_gpu[kind];
    table.add_row({std::string(to_string(static_cast<topology::LinkKind>(kind))), std::to_string(all.links),
                   std::to_string(all.lanes), gpu.highest > base::Bandwidth(0) ? range(gpu) : "-"});
  }
  out << table.text();
  if (summary.nic_per_gpu.highest > base::Bandwidth(0))
    out << "  NICs: " << range(summary.nic_per_gpu) << " per GPU and direction\n";
  if (summary.domain_bisection)
    out << "  bisection of an NVLink domain, one direction: " << range(*summary.domain_bisection) << "\n";
  if (summary.scale_out_bisection)
    out << "  bisection of the network between nodes, one direction: " << base::to_string(*summary.scale_out_bisection)
        << "\n";
  if (!cluster.notes.empty()) out << "Assumed:\n";
  for (const std::string& note : cluster.notes) out << report::wrap("  - " + note, 4);
}

struct ShowOptions {
  std::string cluster;
  std::vector<std::string> sets;
  std::string json;
  bool dot = false;
  bool sources = false;
};

void show(const ShowOptions& options, bool json, std::ostream& out) {
  if (options.sources) {
    if (!is_preset(options.cluster))
      throw base::InputError("--sources", "", "\"" + options.cluster + "\" is not a preset",
                             "a name of `topology list`");
    out << topology::preset_text(options.cluster);
    return;
  }
  const base::JsonDocument document = cluster_document(options.cluster, options.sets);
  const Cluster cluster = topology::read_cluster(base::JsonNode(document));
  if (options.dot) {
    out << topology::to_dot(cluster);
  } else if (json) {
    const std::string text = topology::to_json(cluster).dump(1) + "\n";
    if (options.json.empty() || options.json == "-")
      out << text;
    else
      base::write_file(options.json, text);
  } else {
    describe(cluster, out);
  }
}

void add_cluster_options(CLI::App& verb, const std::shared_ptr<ShowOptions>& options) {
  verb.add_option("CLUSTER", options->cluster, "A preset's name, a cluster file or a scenario file")->required();
  verb.add_option("--set", options->sets, "Change a value: path=value, e.g. nodes=4")->allow_extra_args(false);
}

}  // namespace

void add_topology(CLI::App& program, Context& context) {
  CLI::App* verb = program.add_subcommand("topology", "List, show and check clusters");
  verb->require_subcommand(1);
  verb->footer("Example: moesim topology show hgx_h100 --set nodes=2");

  CLI::App* list_verb = verb->add_subcommand("list", "The cluster presets");
  list_verb->footer("Example: moesim topology list");
  list_verb->callback([&context] { context.action = [&context] { list(context.out); }; });

  const auto options = std::make_shared<ShowOptions>();
  CLI::App* show_verb = verb->add_subcommand("show", "Devices, links and bandwidths of a cluster");
  add_cluster_options(*show_verb, options);
  CLI::Option* json =
      show_verb
          ->add_option("--json", options->json,
                       "Every device and link as JSON, to FILE or standard output; reads back as a cluster")
          ->expected(0, 1)
          ->type_name("[FILE]");
  show_verb->add_flag("--dot", options->dot, "For Graphviz: moesim topology show CLUSTER --dot | dot -Tsvg")
      ->excludes(json);
  show_verb->add_flag("--sources", options->sources, "The preset's data, with the source of every value")
      ->excludes(json)
      ->excludes(show_verb->get_option("--dot"))
      ->excludes(show_verb->get_option("--set"));
  show_verb->footer("Example: moesim topology show gb200_nvl72 --json nvl72.json");
  show_verb->callback([options, json, &context] {
    const bool as_json = json->count() > 0;
    context.action = [options, as_json, &context] { show(*options, as_json, context.out); };
  });

  const auto checked = std::make_shared<ShowOptions>();
  CLI::App* check_verb = verb->add_subcommand("check", "Is a cluster connected, symmetric and plausible?");
  add_cluster_options(*check_verb, checked);
  check_verb->footer("Example: moesim topology check my-cluster.json");
  check_verb->callback([checked, &context] {
    context.action = [checked, &context] {
      const base::JsonDocument document = cluster_document(checked->cluster, checked->sets);
      const Cluster cluster = topology::read_cluster(base::JsonNode(document));
      const auto warnings = topology::check(cluster);
      context.out << cluster.name << ": " << cluster.gpus.size() << " GPUs, " << cluster.graph.num_links()
                  << " links; connected" << (warnings.empty() ? ", symmetric and plausible\n" : "; but:\n");
      for (const std::string& warning : warnings) context.out << report::wrap("  - " + warning, 4);
    };
  });
}

}  // namespace moesim::cli
