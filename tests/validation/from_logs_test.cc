// Profiles from hand-written logs: what of them changes, by how much, and what they may claim.
#include "validation/from_logs.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace moesim::validation {
namespace {

std::string log(const std::string& name) { return "tests/calibration/logs/" + name; }

FromLogs read(const std::vector<std::string>& names, const std::string& system = "", const std::string& shape = "") {
  std::vector<std::string> files;
  for (const std::string& name : names) files.push_back(log(name));
  FromLogsOptions options;
  options.system = system;
  options.log.shape = shape;
  return from_logs(files, options);
}

double log_change(const FromLogs& result, const std::string& kernel, const std::string& parameter) {
  return std::log(result.profile.kernel(kernel).at(parameter) / result.before.kernel(kernel).at(parameter));
}

}  // namespace

TEST_CASE("link tools set what links reach, as shares of the system's raw rates") {
  const FromLogs result = read({"nvbandwidth.json", "ib_write_bw.txt", "ib_write_lat.txt"}, "h100_sxm");
  const profile::LinkCeilings& links = result.profile.links;
  REQUIRE(links.nvlink.share.has_value());
  CHECK(links.nvlink.share->value == doctest::Approx(391.2 / 450).epsilon(1e-3));
  REQUIRE(links.network.share.has_value());
  CHECK(links.network.share->value == doctest::Approx(48.9e9 / (400e9 / 8)).epsilon(1e-3));
  // Latencies are shown, but kernels' start-ups, which were fitted on whole kernels, hold them already.
  CHECK_FALSE(links.network.latency.has_value());
  CHECK_FALSE(links.nvlink.latency.has_value());
  CHECK(std::count_if(result.findings.begin(), result.findings.end(), [](const Finding& finding) {
          return finding.name.starts_with("network latency") && finding.value == "4.00 us";
        }) == 1);
  CHECK(links.pcie.share.has_value());
}

TEST_CASE("a rate above the raw one is refused: another link, or another unit") {
  CHECK_THROWS_WITH_AS(read({"nvbandwidth.json"}, "a100_sxm"), doctest::Contains("above the raw rate of a100_sxm"),
                       base::InputError);
}

TEST_CASE("the GPU is as the log names it; another one is refused, and a log without name needs a system") {
  CHECK(read({"nccl_alltoall.txt"}).system == "h100_sxm");
  CHECK_THROWS_WITH_AS(read({"nccl_alltoall.txt"}, "b200_sxm"), doctest::Contains("NVIDIA H100"), base::InputError);
  CHECK_THROWS_WITH_AS(read({"ib_write_bw.txt"}), doctest::Contains("--system"), base::InputError);
}

TEST_CASE("names of GPUs as drivers give them") {
  CHECK(system_of_gpu("NVIDIA H100 80GB HBM3") == "h100_sxm");
  CHECK(system_of_gpu("NVIDIA H100 PCIe") == "h100_pcie");
  CHECK(system_of_gpu("NVIDIA A100-SXM4-80GB") == "a100_sxm");
  CHECK(system_of_gpu("NVIDIA A100 80GB PCIe") == "a100_pcie");
  CHECK(system_of_gpu("NVIDIA L40S") == "l40s");
  CHECK(system_of_gpu("NVIDIA L4") == "l4");
  CHECK(system_of_gpu("NVIDIA GB200") == "gb200");
  CHECK(system_of_gpu("Tesla V100") == "");
}

TEST_CASE(
    "one row of DeepEP moves its start a little; what it cannot tell stays as shipped, and no interval shrinks to it") {
  const FromLogs result = read({"deepep_low_latency.txt"}, "h100_sxm", "experts=256,topk=8,hidden=7168,tokens=128");
  REQUIRE(result.kernels.size() == 2);
  const std::string kernel = "deepep_ll_dispatch";
  CHECK(result.profile.kernel(kernel).relation() == profile::Relation::FittedSystem);
  double largest = 0;
  std::size_t kept = 0;
  const profile::KernelParameters parameters = result.profile.kernel(kernel);
  for (const auto& [name, parameter] : parameters.all()) {
    largest = std::max(largest, std::abs(log_change(result, kernel, name)));
    kept += parameter.reference.starts_with("as shipped") ? 1 : 0;
  }
  CHECK(largest > 0.001);
  CHECK(kept > 0);
  const double before = result.before.kernel(kernel).log_error(), after = result.profile.kernel(kernel).log_error();
  CHECK(after > 0.8 * before);
}

TEST_CASE(
    "the micro-benchmarks' document makes launch, links and kernels, none of which a synthetic one may call measured") {
  const FromLogs result = read({"measurements_h100.json"});
  CHECK(result.synthetic);
  CHECK(result.profile.launch.value.value() == doctest::Approx(1.3e-6).epsilon(0.01));
  std::vector<std::string> kernels;
  for (const KernelResult& kernel : result.kernels) kernels.emplace_back(kernel.model.name);
  for (const char* expected : {"gemm_bf16", "permute", "unpermute_reduce", "nccl_alltoall_nvlink"})
    CHECK(std::find(kernels.begin(), kernels.end(), expected) != kernels.end());
  const std::string text = profile::to_json(result.profile).dump();
  CHECK(text.find("\"measured\"") == std::string::npos);
  CHECK(text.find("aiconfigurator") == std::string::npos);
  // The made-up permute streams at 2.6 TB/s of 3.35 and starts in 3.5 us.
  CHECK(result.profile.kernel("permute").at("t0") == doctest::Approx(3.5).epsilon(0.1));
  CHECK(result.profile.kernel("permute").at("bw") == doctest::Approx(2.6 / 3.35).epsilon(0.1));
}

TEST_CASE("a profile that was written is read again with every number") {
  const FromLogs result = read({"measurements_h100.json", "ib_write_bw.txt"});
  const std::string text = profile::to_json(result.profile).dump();
  const std::string path = "moesim-from-logs-test.json";
  base::write_file(path, text);
  const profile::Profile again = profile::load_profile(path);
  std::remove(path.c_str());
  CHECK(profile::to_json(again).dump() == text);
  CHECK(again.launch.value.value() == doctest::Approx(result.profile.launch.value.value()).epsilon(1e-9));
  REQUIRE(again.links.network.share.has_value());
  CHECK(again.links.network.share->value == result.profile.links.network.share->value);
}

}  // namespace moesim::validation
