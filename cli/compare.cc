#include "planning/compare.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/scenario_options.h"
#include "cli/verb.h"
#include "report/text.h"
#include "sim/lowering/communication.h"

namespace moesim::cli {
namespace {

// One more scenario for each: its name, and what it changes.
struct Variant {
  std::string name;
  std::vector<std::string> sets;
  bool may_be_refused = false;  // a kernel that cannot run on the cluster is reported, not an error
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == ',')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::vector<Variant> variants_of(const std::string& kernels, const std::string& vary) {
  std::vector<Variant> variants;
  if (!kernels.empty()) {
    std::vector<std::string> names = split(kernels);
    if (kernels == "all") {
      names = lowering::communication_kernels();
      std::erase(names, "ideal");
    }
    for (const std::string& name : names)
      variants.push_back({name, {"communication.kernel=" + name}, kernels == "all"});
  }
  if (vary.empty()) return variants;
  const std::size_t equals = vary.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == vary.size())
    throw base::InputError("--vary", "", "\"" + vary + "\" names no values", "path=value,value,...");
  const std::string path = vary.substr(0, equals), key = path.substr(path.rfind('.') + 1);
  std::vector<Variant> crossed;
  if (variants.empty()) variants.emplace_back();
  for (const Variant& variant : variants) {
    for (const std::string& value : split(vary.substr(equals + 1))) {
      Variant next = variant;
      next.name += (next.name.empty() ? "" : ", ") + key + " " + value;
      next.sets.push_back(path + "=" + value);
      crossed.push_back(std::move(next));
    }
  }
  return crossed;
}

}  // namespace

void add_compare(CLI::App& program, Context& context) {
  struct Options : ScenarioOptions {
    std::vector<std::string> scenarios;
    std::string baseline, kernels, vary;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("compare", "Run several scenarios side by side: speedups, and why");
  verb->add_option("SCENARIO", options->scenarios, "Scenario files")->required();
  verb->add_option("--baseline", options->baseline, "Name of the scenario that counts as 1x (default: the first)");
  verb->add_option(
      "--kernels", options->kernels,
      "Run each scenario with each of these communication kernels, comma-separated; \"all\": with all that "
      "can run there");
  verb->add_option("--vary", options->vary,
                   "Run each scenario with each value: path=value,value,..., e.g. cluster.nodes=1,2,4");
  options->add_to(*verb);
  verb->footer(
      "Example: moesim compare examples/10-pcie-box.json examples/13-gb200-nvl72.json --baseline \"PCIe box\"\n"
      "         moesim compare examples/12-hgx-h200-9-nodes.json --kernels all\n"
      "         moesim compare examples/11-hgx-h100.json --vary step.tokens_per_gpu=16,64,256");
  verb->callback([options, &context] {
    context.action = [options, &context] {
      std::vector<sim::Scenario> scenarios;
      std::vector<std::string> refused;
      std::vector<Variant> variants = variants_of(options->kernels, options->vary);
      if (variants.empty()) variants.emplace_back();
      for (const std::string& path : options->scenarios) {
        for (const Variant& variant : variants) {
          std::vector<std::string> sets = variant.sets;
          if (!variant.name.empty()) {
            const bool single = options->scenarios.size() == 1;
            const std::string name = single ? variant.name : options->load(path).name + ", " + variant.name;
            sets.push_back("name=" + base::Json(name).dump());
          }
          try {
            scenarios.push_back(options->load(path, sets));
          } catch (const base::InputError& error) {
            if (!variant.may_be_refused || error.place() != "/communication/kernel") throw;
            refused.push_back("not compared: " + std::string(error.what()));
          }
        }
      }
      results::Comparison comparison = planning::compare(scenarios, options->baseline, options->threads);
      comparison.warnings.insert(comparison.warnings.end(), refused.begin(), refused.end());
      context.out << report::text(comparison);
      write_json(options->json, results::to_json(comparison).dump(2));
    };
  });
}

}  // namespace moesim::cli
