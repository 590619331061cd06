// `compare --curve`: throughput against tokens/s/user.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "cli/progress.h"
#include "cli/scenario_options.h"
#include "cli/vary.h"
#include "cli/verb.h"
#include "planning/step_runner.h"

namespace CLI {
class App;
}

namespace moesim::cli {

// What curves and waterfalls share.
struct SamplingOptions {
  int layers = 8;
  int draws = 200;

  void add_to(CLI::App& verb);
};

struct CurveOptions {
  bool asked = false;
  std::string users = "20,30,40,50,60,70,80,90,100,110,120,130,140,150";
  int batches = 20;
  std::string csv;
  SamplingOptions sampling;

  void add_to(CLI::App& verb);
};

// The same steps, counted as they end; `progress` has to outlive them.
planning::StepFunction counted(planning::StepFunction run, Progress& progress);

// Prints `text` and the time since `start`, and writes `json` to the file of --json.
void tell(const std::string& text, const base::Json& json, std::chrono::steady_clock::time_point start,
          const ScenarioOptions& options, Context& context);

// "20,40,60": positive numbers, ascending. Throws InputError.
std::vector<double> read_users(const std::string& text);
// Of the "inputs" of a result, in the same form.
std::string stored_users(const base::JsonNode& inputs);
// What of the models was run, in words, with the error that this brings for some scenarios (each with its file).
std::string sampling_words(int layers, const std::vector<std::pair<std::string, base::Json>>& checks);
// Its scenarios' paths are as seen from anywhere.
base::JsonDocument load_document(const ScenarioOptions& options, const std::string& path,
                                 const std::vector<std::string>& more = {});

// Whether the one file is the result of a curve.
bool is_curve(const std::vector<std::string>& paths);
// With the users, batches, layers and draws that the file tells where the command line does not.
void repeat_curve(const ScenarioOptions& scenario, CurveOptions options, const CLI::App& verb, const std::string& path,
                  Context& context);
void run_curve(const ScenarioOptions& scenario, const CurveOptions& options, const std::vector<std::string>& paths,
               const std::vector<Variant>& variants, const std::string& baseline, Context& context);

}  // namespace moesim::cli
