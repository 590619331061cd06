// Regenerating calibrations from tables made by the model itself, and from the measured ones.
#include "validation/calibrate.h"

#include <cmath>
#include <filesystem>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/random.h"
#include "sim/lowering/gemm.h"

namespace moesim::validation {
namespace {

namespace fs = std::filesystem;

// A folder of its own with GEMM tables, removed at the end.
class Folder {
 public:
  explicit Folder(const std::string& name) : path_(fs::temp_directory_path() / ("moesim-calibrate-test-" + name)) {
    fs::remove_all(path_);
    fs::create_directories(path_ / "C1_gemm");
  }
  ~Folder() { fs::remove_all(path_); }

  // Times of the shipped model with noise of 2 %.
  void write(const std::string& system_name, std::uint64_t seed) const {
    const System system(system_name);
    const auto parameters = system.profile().kernel("gemm_bf16");
    base::RandomStream stream(seed, system_name);
    std::string text = "dtype,m,n,k,latency_us\n";
    for (const std::int64_t m : {1, 16, 128, 512, 2048, 8192}) {
      for (const std::int64_t n : {256, 1024, 4096, 16384}) {
        for (const std::int64_t k : {256, 1024, 4096, 16384}) {
          const double us = lowering::gemm_cost({m, n, k, {}}, system.profile(), parameters).total.value() * 1e6;
          text += "bfloat16," + std::to_string(m) + "," + std::to_string(n) + "," + std::to_string(k) + "," +
                  base::format_number(us * std::exp(0.02 * stream.normal()), 8) + "\n";
        }
      }
    }
    base::write_file(path_ / "C1_gemm" / (system_name + "__gemm.csv"), text);
  }
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

const profile::KernelCalibration& bf16(const std::vector<KernelResult>& results) {
  REQUIRE(results.size() == 1);
  return results[0].fit.calibration;
}

}  // namespace

TEST_CASE("tables made by the model are predicted by what is fitted to them, within their noise") {
  const Folder folder("recover");
  for (const char* system : {"a100_sxm", "h100_sxm", "b200_sxm"}) folder.write(system, 1);
  const auto results = fit_all(read_tables(folder.path()), false);
  for (const profile::FittedTable& table : bf16(results).tables) {
    CAPTURE(table.file);
    CHECK(table.rows == 96);
    CHECK(table.median < 0.03);  // |e| of 2 % noise has a median of 1.35 %; the choice among tiles adds some
  }
}

TEST_CASE("a system without rows has the family rule's values, whether or not other kernels' tables of it exist") {
  const Folder with("with"), without("without");
  for (const Folder* folder : {&with, &without}) {
    folder->write("a100_sxm", 1);
    folder->write("b200_sxm", 1);
  }
  // A table of h100 of a kind that says nothing of GEMM.
  fs::create_directories(fs::path(with.path()) / "N1_nccl");
  base::write_file(fs::path(with.path()) / "N1_nccl" / "h100_sxm__nccl.csv",
                   "op,dtype,num_gpus,bytes,latency_us\nall_gather,half,2,512,5.31\n");
  const auto find = [](const std::vector<KernelResult>& results) {
    for (const KernelResult& result : results)
      if (result.fit.calibration.kernel == "gemm_bf16") return result.fit.calibration;
    FAIL("gemm_bf16 was not fitted");
    return profile::KernelCalibration{};
  };
  const auto a = find(fit_all(read_tables(with.path()), false)), b = find(fit_all(read_tables(without.path()), false));
  CHECK(profile::to_json(a) == profile::to_json(b));
  const auto h100 = profile::resolve(a, "h100", "hopper"), nobody = profile::resolve(a, "nobody", "hopper");
  for (const auto& [name, parameter] : h100.all()) CHECK(parameter.value == nobody.at(name));
  CHECK(h100.relation() == profile::Relation::OtherFamily);
}

TEST_CASE("hold-outs are judged by parameters and widths that never saw them") {
  const Folder folder("hold-out");
  for (const char* system : {"a100_sxm", "h100_sxm", "b200_sxm"}) folder.write(system, 1);
  const auto results = fit_all(read_tables(folder.path()), true);
  REQUIRE(results.size() == 1);
  bool left_out = false, by_size = false;
  for (const HoldOut& h : results[0].hold_outs) {
    CAPTURE(h.split);
    CHECK(h.score.rows == h.samples.size());
    if (h.split == "h100 left out") {
      left_out = true;
      CHECK(h.system == "h100");
      CHECK(h.samples.size() == 96);
      CHECK(h.relation == profile::Relation::OtherFamily);
    }
    if (h.by == Split::By::Size && h.split.starts_with("m <= 512")) {
      by_size = true;
      CHECK(h.samples.size() == 32);
      CHECK(h.relation == profile::Relation::FittedSystem);
    }
  }
  CHECK(left_out);
  CHECK(by_size);
  const auto& widths = results[0].fit.calibration.errors.at("");
  CHECK(widths[0] > 0);
  CHECK(widths[1] >= widths[0]);
  CHECK(widths[2] >= widths[1]);
}

TEST_CASE("fitting again gives the same to the last digit") {
  const Folder folder("again");
  folder.write("h100_sxm", 1);
  const auto tables = read_tables(folder.path());
  CHECK(profile::to_json(bf16(fit_all(tables, false))) == profile::to_json(bf16(fit_all(tables, false))));
}

TEST_CASE("a folder without tables and a file without a system are refused") {
  const Folder folder("empty");
  CHECK_THROWS_WITH(read_tables(folder.path()), doctest::Contains("holds no table"));
  CHECK_THROWS_WITH(read_tables(folder.path() + "/nowhere"), doctest::Contains("cannot be read"));
  base::write_file(fs::path(folder.path()) / "gemm.csv", "dtype,m,n,k,latency_us\nbfloat16,1,2,3,4\n");
  CHECK_THROWS_WITH(read_tables(folder.path()), doctest::Contains("does not start with a system"));
}

}  // namespace moesim::validation
