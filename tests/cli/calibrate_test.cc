// The verbs below calibrate, in process: from logs to a profile to a result, and what to measure next.
#include <algorithm>
#include <filesystem>

#include <doctest/doctest.h>

#include "base/file.h"
#include "base/json.h"
#include "tests/cli/run_moesim.h"
#include "tests/scratch_folder.h"

namespace moesim::cli {
namespace {

using tests::moesim;
using tests::Run;
using tests::ScratchFolder;

namespace fs = std::filesystem;

bool has(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

const std::string kLogs = "tests/calibration/logs/";

double total_of(const std::vector<std::string>& sets, const std::string& json) {
  std::vector<std::string> arguments{"run", "examples/11-hgx-h100.json", "--json", json};
  for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
  const Run run = moesim(arguments);
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  const auto document = base::load_json(json);
  return base::JsonNode(document).member("total_s").number();
}

// A program in place of moesim-kernels.
std::string program(const ScratchFolder& folder, const std::string& script) {
  std::string path = folder.file("kernels.sh");
  base::write_file(path, "#!/bin/sh\n" + script);
  fs::permissions(path, fs::perms::owner_all);
  return path;
}

}  // namespace

TEST_CASE("a profile from logs changes the result of a scenario that takes it, and is refused for another GPU") {
  const ScratchFolder folder;
  const std::string profile = folder.file("p.json");
  // A NVLink that reaches 30 % of its raw rate.
  std::string slow = base::read_file(kLogs + "nvbandwidth.json");
  for (const char* fast : {"391.", "390.", "385.", "384."})
    for (std::size_t at; (at = slow.find("\"" + std::string(fast))) != std::string::npos;)
      slow.replace(at + 1, 3, "130");
  base::write_file(folder.file("slow.json"), slow);
  const Run fit =
      moesim({"calibrate", "fit", "--log", folder.file("slow.json"), "--system", "h100_sxm", "-o", profile});
  CAPTURE(fit.err);
  REQUIRE(fit.code == 0);
  CHECK(has(fit.out, "NVLink, share of its raw rate"));
  const double before = total_of({}, folder.file("a.json"));
  const double after = total_of({"profile=" + profile}, folder.file("b.json"));
  CHECK(after > before * 1.02);
  // The stored result names the profile's file as seen from anywhere.
  CHECK(moesim({"run", folder.file("b.json")}).code == 0);
  const Run other = moesim({"run", "examples/13-gb200-nvl72.json", "--set", "profile.file=" + profile});
  CHECK(other.code == 2);
  CHECK(has(other.err, "gb200"));
}

TEST_CASE("measure fits a document of samples; show, diff and validate read what it wrote") {
  const ScratchFolder folder;
  const std::string profile = folder.file("p.json");
  const Run measured = moesim({"calibrate", "measure", "--samples", kLogs + "measurements_h100.json", "-o", profile});
  CAPTURE(measured.err);
  REQUIRE(measured.code == 0);
  for (const char* text : {"synthetic", "throttled", "kernel launch", "gemm_bf16", "before", "80 % interval"})
    CHECK(has(measured.out, text));
  const Run shown = moesim({"calibrate", "show", profile});
  CHECK(shown.code == 0);
  CHECK(has(shown.out, "nvlink share"));
  CHECK_FALSE(has(shown.out, " measured "));
  const Run differ = moesim({"calibrate", "diff", "h100", profile});
  CHECK(differ.code == 0);
  CHECK(has(differ.out, "launch"));
  CHECK(has(differ.out, "gemm_bf16"));
  CHECK_FALSE(has(differ.out, "deepep_ll_dispatch"));
  CHECK(moesim({"calibrate", "diff", "h100", "h100"}).out == "no number differs\n");
  // The whole way: what the document says of launches and links changes a result.
  const double before = total_of({}, folder.file("a.json")),
               after = total_of({"profile=" + profile}, folder.file("b.json"));
  CHECK(after != before);
  CHECK(after == doctest::Approx(before).epsilon(0.2));
}

TEST_CASE("a damaged log is one line with the place, exit code 2, and no profile is written") {
  const ScratchFolder folder;
  const std::string profile = folder.file("p.json");
  struct Damage {
    std::string log, from, to;
  };
  for (const Damage& damage : {Damage{"nccl_alltoall.txt", "12.19", "12.l9"},
                               {"nccl_alltoall.json", "\"time\": 12.19", "\"time\": \"fast\""},
                               {"nvbandwidth.json", "\"391.10\"", "\"fast\""},
                               {"ib_write_bw.txt", "46634.67", "4663x.67"},
                               {"ib_write_lat.txt", "t_typical[usec]", "t_typical[cycles]"},
                               {"deepep_low_latency.txt", "avg_t=160.00", "avg_t=16o.00"},
                               {"deepep_intranode.txt", ", t: 385.00 us", ""},
                               {"measurements_h100.json", "\"unit\": \"us\"", "\"unit\": \"ms\""}}) {
    CAPTURE(damage.log);
    std::string text = base::read_file(kLogs + damage.log);
    const std::size_t at = text.find(damage.from);
    REQUIRE(at != std::string::npos);
    text.replace(at, damage.from.size(), damage.to);
    const std::string file = folder.file("damaged-" + damage.log);
    base::write_file(file, text);
    const Run run = moesim({"calibrate", "fit", "--log", file, "--system", "h100_sxm", "--shape",
                            "ep=8,experts=256,topk=8,hidden=7168,tokens=128", "-o", profile});
    CAPTURE(run.err);
    CHECK(run.code == 2);
    CHECK(std::count(run.err.begin(), run.err.end(), '\n') == 1);
    CHECK(has(run.err, file + ": line "));
    CHECK_FALSE(fs::exists(profile));
  }
}

TEST_CASE("measure runs the micro-benchmarks and passes on why they cannot") {
  const ScratchFolder folder;
  const std::string profile = folder.file("p.json");
  const Run none = moesim({"calibrate", "measure", "-o", profile, "--kernels", folder.file("nowhere")});
  CHECK(none.code == 2);
  CHECK(has(none.err, "no build of the micro-benchmarks"));
  const std::string no_gpu =
      program(folder, "echo 'moesim-kernels: no GPU to measure: no CUDA-capable device is detected' >&2; exit 3\n");
  const Run without = moesim({"calibrate", "measure", "-o", profile, "--kernels", no_gpu});
  CHECK(without.code == 2);
  CHECK(has(without.err, "no CUDA-capable device"));
  CHECK_FALSE(fs::exists(profile));
  const std::string stops = program(folder, "echo 'hbm_copy: illegal address'; exit 1\n");
  CHECK(has(moesim({"calibrate", "measure", "-o", profile, "--kernels", stops}).err, "illegal address"));
  // One that "measures": --resume [--quick] -o DOCUMENT.
  const std::string works =
      program(folder, "echo 'hbm_copy: 2 us'\n[ \"$1\" = --resume ] && [ \"$2\" = --quick ] && cp " + kLogs +
                          "measurements_h100.json \"$4\"\n");
  const Run run = moesim({"calibrate", "measure", "--quick", "-o", profile, "--kernels", works});
  CAPTURE(run.err);
  CHECK(run.code == 0);
  CHECK(has(run.err, "hbm_copy: 2 us"));
  CHECK(fs::exists(profile));
  CHECK(fs::exists(folder.file("p.measurements.json")));
}

TEST_CASE("check ranks what to measure next by its effect on the speedup") {
  const ScratchFolder folder;
  const std::string json = folder.file("c.json");
  const Run run =
      moesim({"calibrate", "check", "examples/10-pcie-box.json", "examples/11-hgx-h100.json", "--json", json});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  CHECK(has(run.out, "predicted speedup"));
  CHECK(has(run.out, "not complete"));
  const auto document = base::load_json(json);
  const base::JsonNode candidates = base::JsonNode(document).member("candidates");
  REQUIRE(candidates.size() >= 5);
  const std::string text = base::read_file(json);
  CHECK(has(text, "\"stream of all GPUs over PCIe\""));
  CHECK(has(text, "\"bw of all GPUs\""));
  double last = 1e9;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const double effect = std::max(std::abs(candidates.at(i).member("log_speedup").at(0).number()),
                                   std::abs(candidates.at(i).member("log_speedup").at(1).number()));
    CHECK(effect <= last);
    CHECK(effect >= 1e-4);
    last = effect;
  }
}

}  // namespace moesim::cli
