// Measures this machine's GPU and its links, and writes one JSON document. Sets no clock, power limit or MIG mode.
#include <array>
#include <fstream>
#include <iostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "kernels/harness/measure.cuh"

namespace {

using namespace moesim::kernels;  // NOLINT: this file is the program

struct Suite {
  const char* name;
  void (*run)(Session& session, bool quick);
};
void launch(Session& session, bool /*quick*/) { measure_launch(session); }
constexpr std::array<Suite, 8> kSuites{{{"launch", launch},
                                        {"hbm", measure_hbm},
                                        {"host", measure_host_copies},
                                        {"peer", measure_peers},
                                        {"gemm", measure_gemm},
                                        {"moe", measure_moe},
                                        {"attention", measure_attention},
                                        {"nccl", measure_nccl}}};

int run(const std::string& command, const std::string& output, const std::vector<std::string>& only, bool quick,
        bool resume) {
  int gpus = 0;
  const cudaError_t code = cudaGetDeviceCount(&gpus);
  if (code != cudaSuccess || gpus == 0) {
    std::cerr << "moesim-kernels: no GPU to measure: "
              << (code != cudaSuccess ? cudaGetErrorString(code) : "the driver knows none") << "\n";
    return 3;
  }
  Report report(describe_machine(command));
  if (std::ifstream earlier(output); resume && earlier) report.load(nlohmann::json::parse(earlier));
  const auto save = [&] { write_whole(output, report.json().dump(1) + "\n"); };
  StoppingRule rule;
  if (quick) rule.relative_error = 0.02, rule.most_seconds = 0.2;
  Session session(report, rule, std::cerr, save);
  for (const Suite& suite : kSuites) {
    if (!only.empty() && std::find(only.begin(), only.end(), suite.name) == only.end()) continue;
    suite.run(session, quick);
  }
  save();
  std::cerr << "wrote " << output << ": " << report.measurements().size() << " measurements, "
            << report.skipped().size() << " skipped\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measure this machine's GPU: launches, memory, copies, matrix products, MoE kernels, links");
  std::string output = "measurements.json";
  std::vector<std::string> only;
  bool quick = false, resume = false;
  app.add_option("-o,--output", output, "The JSON document to write");
  app.add_option("--only", only, "launch, hbm, host, peer, gemm, moe, attention, nccl")
      ->check(CLI::IsMember({"launch", "hbm", "host", "peer", "gemm", "moe", "attention", "nccl"}));
  app.add_flag("--quick", quick, "Fewer sizes and samples: a minute instead of several");
  app.add_flag("--resume", resume, "Keep what the document holds already, if it is of this GPU");
  CLI11_PARSE(app, argc, argv);
  std::string command;
  for (int i = 0; i < argc; ++i) command += (i == 0 ? "" : " ") + std::string(argv[i]);
  try {
    return run(command, output, only, quick, resume);
  } catch (const std::exception& error) {
    std::cerr << "moesim-kernels: " << error.what() << "\n";
    return 1;
  }
}
