// The document that the benchmarks write (schema moesim.measurements/1): who measured what, with all samples. Host
// only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "kernels/harness/statistics.h"

namespace moesim::kernels {

// One point: what ran, on which implementation, at which sizes.
struct Measurement {
  std::string benchmark;                     // "hbm_copy"
  std::string implementation;                // "moesim sm copy", "cublasLt 13.0", "cudaMemcpyAsync (copy engine)"
  std::map<std::string, double> parameters;  // "bytes", "m", "sms", ...
  double bytes = 0, flops = 0;               // of one run; 0: does not apply
  std::vector<double> samples_us;
  double clock_before_mhz = 0, clock_after_mhz = 0;
};

struct Skipped {
  std::string benchmark, reason;
};

struct Machine {
  std::string gpu, uuid, driver, runtime, date, command, compute_capability;
  int gpus = 0, sms = 0;
  double memory_bytes = 0, l2_bytes = 0;
  std::vector<std::string> notes;  // "another process uses the GPU"
};

class Report {
 public:
  explicit Report(Machine machine) : machine_(std::move(machine)) {}
  void add(Measurement measurement) { measurements_.push_back(std::move(measurement)); }
  void skip(std::string benchmark, std::string reason) {
    skipped_.push_back({std::move(benchmark), std::move(reason)});
  }
  const std::vector<Measurement>& measurements() const { return measurements_; }
  const std::vector<Skipped>& skipped() const { return skipped_; }
  // Whether an earlier run's document holds this point already (to resume).
  bool has(const std::string& benchmark, const std::string& implementation,
           const std::map<std::string, double>& parameters) const;
  // Throws std::runtime_error for a document of another GPU or schema.
  void load(const nlohmann::json& document);
  nlohmann::json json() const;

 private:
  Machine machine_;
  std::vector<Measurement> measurements_;
  std::vector<Skipped> skipped_;
};

// Written to a file beside it first: whole or not at all.
void write_whole(const std::string& path, const std::string& text);

}  // namespace moesim::kernels
