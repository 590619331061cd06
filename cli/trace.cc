#include "workloads/trace.h"

#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

#include "cli/verb.h"
#include "workloads/npy.h"
#include "workloads/trace_file.h"

namespace moesim::cli {

void add_trace(CLI::App& program, Context& context) {
  CLI::App* verb = program.add_subcommand("trace", "Import recorded token routing");
  verb->require_subcommand(1);
  verb->footer("Example: moesim trace import topk_ids.jsonl -o trace.npy");

  struct Options {
    std::string file, output;
    int layers = 0;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* import = verb->add_subcommand("import", "Convert a recording to .npy [tokens, MoE layers, top-k]");
  import->add_option("FILE", options->file, "A .jsonl with \"topk_ids\", or a .npy [tokens, layers, top_k]")
      ->required();
  import->add_option("-o,--output", options->output, "The .npy to write")->required();
  import->add_option("--layers", options->layers, "MoE layers of the model (default: inferred)")
      ->check(CLI::Range(1, 10000));
  import->footer("Example: moesim trace import topk_ids.jsonl -o trace.npy --layers 48");
  import->callback([options, &context] {
    context.action = [options, &context] {
      const workloads::Trace trace = workloads::read_trace_file(options->file, {options->layers});
  workloads::write_npy(trace, options->output);
  context.out << options->output << ": " << trace.tokens << " tokens, " << trace.layers << " MoE layers, top-"
              << trace.top_k << "\n";
};
}  // namespace moesim::cli
);
}

}  // namespace moesim::cli
