#include "benchmarks/traces.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "base/random.h"
#include "workloads/npy.h"
#include "workloads/trace_summary.h"

namespace moesim::benchmarks {
namespace {

constexpr std::int32_t kLayers = 58, kTopK = 8, kExperts = 256;

// A number in kB of /proc/self/status, in MB; 0 where there is none.
double status_megabytes(const std::string& key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key + ":")) return std::stod(line.substr(key.size() + 1)) / 1e3;
  return 0;
}

// About `bytes` of trace, int16, C order: a block of tokens as the generator of matrices draws them, again and again.
void write_trace(const std::string& path, double bytes) {
  workloads::Trace block;
  block.tokens = 4096;
  block.layers = kLayers;
  block.top_k = kTopK;
  block.passes = {0, block.tokens};
  base::RandomStream random(1, "benchmark trace");
  std::vector<std::uint16_t> experts(kExperts);
  std::iota(experts.begin(), experts.end(), std::uint16_t{0});
  for (std::int64_t row = 0; row < block.tokens * kLayers; ++row) {
    for (std::size_t i = 0; i < kTopK; ++i) std::swap(experts[i], experts[i + random.below(kExperts - i)]);
    block.ids.insert(block.ids.end(), experts.begin(), experts.begin() + kTopK);
  }
  const auto block_bytes = static_cast<std::size_t>(block.tokens) * kLayers * kTopK * 2;
  const auto blocks = static_cast<std::int64_t>(bytes / static_cast<double>(block_bytes));
  workloads::write_npy(block, path);
  std::string content = (std::ostringstream() << std::ifstream(path, std::ios::binary).rdbuf()).str();
  const std::string data = content.substr(content.size() - block_bytes);
  std::string header = content.substr(0, content.size() - block_bytes);
  // The same header with more tokens: blanks at its end make room.
  const std::string few = "(" + std::to_string(block.tokens) + ",",
                    many = "(" + std::to_string(block.tokens * blocks) + ",";
  header.replace(header.find(few), few.size(), many);
  header.erase(header.size() - 1 - (many.size() - few.size()), many.size() - few.size());
  std::ofstream out(path, std::ios::binary);
  out << header;
  for (std::int64_t b = 0; b < blocks; ++b) out << data;
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace

void trace_statistics(Report& report) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("moesim_bench_" + std::to_string(getpid()) + ".npy")).string();
  write_trace(path, 1e9);
  const double megabytes = static_cast<double>(std::filesystem::file_size(path)) / 1e6;
  const double before = status_megabytes("VmRSS");
  std::ofstream("/proc/self/clear_refs") << "5";  // forgets the peak so far
  double best = 0;
  std::int64_t tokens = 0;
  for (int i = 0; i < 3; ++i) {
    // Of the core: what other processes take is not counted.
    const std::clock_t start = std::clock();
    tokens = workloads::summarize_trace(path).tokens;
    best = std::max(best, megabytes / (static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC));
  }
  const double grown = std::max(0.0, status_megabytes("VmHWM") - before);
  std::filesystem::remove(path);
  report.add({"statistics of a trace of 1 GB", best, "MB/s", Goal::Kind::AtLeast, 500,
              "int16, " + std::to_string(tokens) + " tokens of " + std::to_string(kLayers) + " layers; one core"});
  report.add(
      {"statistics of a trace of 1 GB: memory", grown, "MB", Goal::Kind::AtMost, 16, "grown during the reading"});
}

}  // namespace moesim::benchmarks
