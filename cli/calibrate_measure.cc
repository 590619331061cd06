#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

#include "base/file.h"
#include "cli/calibrate.h"
#include "cli/scenario_options.h"

namespace moesim::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kNoGpu = 3;  // exit code of moesim-kernels
constexpr int kNotStarted = 127;

struct Options {
  std::string output = "profile.json";
  std::string samples, kernels, system;
  bool quick = false;
};

std::string build_of_kernels(const std::string& given) {
  std::vector<fs::path> places;
  if (!given.empty()) {
    places.emplace_back(given);
  } else {
    std::error_code failed;
    const fs::path own = fs::read_symlink("/proc/self/exe", failed).parent_path();
    if (!failed)
      places.insert(places.end(), {own / "moesim-kernels", own.parent_path() / "kernels" / "moesim-kernels"});
    places.emplace_back("build/kernels/moesim-kernels");
  }
  std::string looked;
  for (const fs::path& place : places) {
    if (fs::is_regular_file(place)) return place.string();
    looked += (looked.empty() ? "" : ", ") + place.string();
  }
  throw base::InputError("calibrate measure", "",
                         "there is no build of the micro-benchmarks (looked for " + looked + ")",
                         "cmake -S kernels -B build/kernels && cmake --build build/kernels, where there is nvcc; or "
                         "--samples with a document from another machine");
}

std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// Runs the micro-benchmarks; what they say goes to `progress` as it comes.
void run_kernels(const std::string& program, const std::string& document, bool quick, std::ostream& progress) {
  const std::string command =
      quoted(program) + " --resume" + (quick ? " --quick" : "") + " -o " + quoted(document) + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw base::InputError(program, "", "cannot be started");
  std::array<char, 512> part{};
  std::string line, last;
  while (std::fgets(part.data(), static_cast<int>(part.size()), pipe) != nullptr) {
    line += part.data();
    if (line.back() != '\n') continue;
    progress << line << std::flush;
    last = line.substr(0, line.size() - 1);
    line.clear();
  }
  if (!line.empty()) last = line;
  const int status = pclose(pipe);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (code == 0) return;
  if (code == kNoGpu)
    throw base::InputError("calibrate measure", "", last, "a machine with an NVIDIA GPU and its driver");
  if (code == kNotStarted || code == 126) throw base::InputError(program, "", "cannot be started: " + last);
  throw base::InputError(program, "", "stopped (" + std::to_string(code) + "): " + last,
                         "the same command again: it goes on with what " + document + " holds");
}

void measure(const Options& options, Context& context) {
  check_outputs("", {options.output});
  std::string document = options.samples;
  if (document.empty()) {
    const std::string program = build_of_kernels(options.kernels);
    fs::path beside = options.output;
    document = beside.replace_extension("measurements.json").string();
    run_kernels(program, document, options.quick, context.err);
  }
  validation::FromLogsOptions from;
  from.system = options.system;
  const validation::FromLogs result = validation::from_logs({document}, from);
  print(result, context.out);
  base::write_file(options.output, profile::to_json(result.profile).dump(2) + "\n");
  context.out << "wrote " << options.output << " (" << document << " keeps every sample)\n";
}

}  // namespace

void add_calibrate_measure(CLI::App& verb, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* measured = verb.add_subcommand("measure", "Measure this machine's GPU and make its profile");
  measured->add_option("-o,--output", options->output, "The profile to write; samples go beside it")
      ->capture_default_str();
  CLI::Option* quick = measured->add_flag("--quick", options->quick, "Fewer sizes and samples");
  measured
      ->add_option("--samples", options->samples,
                   "Measure nothing: fit this document, which moesim-kernels wrote (perhaps elsewhere)")
      ->excludes(quick);
  measured->add_option("--kernels", options->kernels, "The program moesim-kernels (default: beside this one)");
  measured->add_option("--system", options->system, "The system that this is (default: by the GPU's name)");
  measured->footer(
      "Goes on with the samples that an interrupted run of the same GPU has left beside the profile.\n"
      "Example: moesim calibrate measure -o profile.json");
  measured->callback([options, &context] { context.action = [options, &context] { measure(*options, context); }; });
}

}  // namespace moesim::cli
