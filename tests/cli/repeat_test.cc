// A result file repeats itself with the verb that wrote it, from any folder; `run` says which verb that is.

#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "tests/cli/run_moesim.h"
#include "tests/scratch_folder.h"

namespace moesim::cli {
namespace {

using tests::moesim;
using tests::Run;
using tests::ScratchFolder;

const std::string h100 = "examples/11-hgx-h100.json", rack = "examples/13-gb200-nvl72.json";

// Runs the command, then its verb on what it wrote: both files are the same. Returns the first run.
Run check_repeats(const std::vector<std::string>& verb, std::vector<std::string> rest) {
  const ScratchFolder folder;
  const std::string first = folder.file("first.json"), second = folder.file("second.json");
  std::vector<std::string> arguments = verb;
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  arguments.insert(arguments.end(), {"--json", first});
  Run run = moesim(arguments);
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  arguments = verb;
  arguments.insert(arguments.end(), {first, "--json", second});
  const Run again = moesim(arguments);
  CAPTURE(again.err);
  REQUIRE(again.code == 0);
  CHECK(nlohmann::json::parse(base::read_file(second)) == nlohmann::json::parse(base::read_file(first)));
  return run;
}

}  // namespace

TEST_CASE("the results of run and compare repeat themselves") {
  check_repeats({"run"}, {"examples/01-minimal.json", "--set", "step.tokens_per_gpu=4"});
  check_repeats({"compare"}, {h100, rack, "--baseline", "GB200 NVL72", "--engine", "bound"});
  check_repeats({"compare"}, {h100, "--vary", "step.tokens_per_gpu=4,8", "--engine", "bound"});
}

TEST_CASE("a curve repeats itself, its users and layers as they were unless others are asked for") {
  const std::string folder = "examples/ten-x/deepseek-r1-";
  check_repeats({"compare"}, {"--curve", folder + "gb200.json", folder + "h200-ep16.json", "--users", "20,40",
                              "--batches", "2", "--layers", "1", "--draws", "3", "--baseline", "HGX H200"});
  const ScratchFolder scratch;
  const std::string file = scratch.file("curve.json"), other = scratch.file("other.json");
  REQUIRE(moesim({"compare", "--curve", folder + "h200-ep16.json", "--vary", "step.kv_tokens=1024,2048", "--users",
                  "20", "--batches", "2", "--layers", "1", "--json", file})
              .code == 0);
  REQUIRE(moesim({"compare", file, "--users", "30", "--json", other}).code == 0);
  const auto json = nlohmann::json::parse(base::read_file(other));
  CHECK(json["inputs"]["users"] == nlohmann::json::array({30}));
  CHECK(json["inputs"]["layers"] == 1);
  CHECK(json["series"] == true);
  const Run refused = moesim({"compare", file, "--vary", "step.kv_tokens=1,2"});
  CHECK(refused.code == 2);
  CHECK(refused.err.starts_with("moesim: --vary: beside a stored curve"));
}

TEST_CASE("a waterfall repeats itself") {
  check_repeats({"waterfall"}, {"examples/ten-x/deepseek-r1.json", "--users", "20", "--layers", "1", "--draws", "3",
                                "--engine", "bound", "--no-elasticities", "--seed", "7"});
}

TEST_CASE("run says what other result files are, and which verb repeats them") {
  const ScratchFolder folder;
  for (const auto& [name, says] : {std::pair("moesim.comparison/1", "a result of `moesim compare`"),
                                   std::pair("moesim.curve/1", "a result of `moesim compare`"),
                                   std::pair("moesim.waterfall_result/1", "a result of `moesim waterfall`"),
                                   std::pair("moesim.sensitivity/1", "a result of `moesim calibrate check`"),
                                   std::pair("moesim.waterfall/1", "two scenarios and the factors between them")}) {
    const std::string schema = name;
    CAPTURE(schema);
    const std::string file = folder.write("r.json", R"({"schema": ")" + schema + R"(", "speedup_of": "tokens/s/GPU"})");
    const Run run = moesim({"run", file});
    CAPTURE(run.err);
    CHECK(run.code == 2);
    CHECK(run.err.starts_with("moesim: " + file + ": /schema: "));
    CHECK(run.err.find(says) != std::string::npos);
    CHECK(run.err.find(file + "`") != std::string::npos);
  }
}

TEST_CASE("a result file that has lost its scenario is bad input, not our fault") {
  const ScratchFolder folder;
  const std::string result = folder.write("r.json", R"({"schema": "moesim.result/1", "name": "a"})"),
                    comparison = folder.write("c.json", R"({"schema": "moesim.comparison/1", "results": [{}]})");
  for (const auto& [verb, file, key] :
       {std::tuple("run", result, "scenario"), std::tuple("compare", result, "scenario"),
        std::tuple("compare", comparison, "scenario"), std::tuple("waterfall", result, "moesim.waterfall/1")}) {
    const Run run = moesim({verb, file});
    CAPTURE(run.err);
    CHECK(run.code == 2);
    CHECK(run.err.starts_with("moesim: " + file + ": "));
    CHECK(run.err.find("\"" + std::string(key) + "\"") != std::string::npos);
  }
}

TEST_CASE("every --json says which command repeats its file") {
  CHECK(moesim({"compare", "--help"}).out.find("`moesim compare FILE`") != std::string::npos);
  CHECK(moesim({"waterfall", "--help"}).out.find("`moesim waterfall FILE`") != std::string::npos);
}

TEST_CASE("a path on the command line counts from the current folder, one in a file from that file") {
  const ScratchFolder folder;
  const std::string trace = folder.file("trace.npy");
  REQUIRE(moesim({"trace", "generate", "--preset", "deepseek-v3-decode", "--tokens", "300", "-o", trace}).code == 0);
  auto scenario = nlohmann::ordered_json::parse(base::read_file("examples/01-minimal.json"));
  scenario["routing"] = {{"trace", "trace.npy"}};
  scenario["step"]["tokens_per_gpu"] = 4;
  const std::string file = folder.write("s.json", scenario.dump());
  CHECK(moesim({"run", file, "--engine", "bound"}).code == 0);
  // The trace lies beside the scenario, not in the current folder.
  const Run typed = moesim({"run", file, "--engine", "bound", "--set", "routing.trace=trace.npy"});
  CHECK(typed.code == 2);
  CHECK(typed.err.find((std::filesystem::current_path() / "trace.npy").string()) != std::string::npos);
  CHECK(typed.err.find("in a --set from the current folder") != std::string::npos);
  const std::string relative = std::filesystem::relative(trace).string();
  CHECK(moesim({"run", file, "--engine", "bound", "--set", "routing.trace=" + relative}).code == 0);
  CHECK(moesim({"run", h100, "--engine", "bound", "--set", "step.tokens_per_gpu=4", "--set",
                R"(routing={"trace": ")" + relative + "\"}"})
            .code == 0);
  // So with a profile: typed, it does not lie beside the scenario.
  folder.write("profile.json", "{}");
  const Run profile = moesim({"run", file, "--set", "profile=profile.json"});
  CHECK(profile.err.find((std::filesystem::current_path() / "profile.json").string()) != std::string::npos);
  // A seed of what is recorded.
  const Run seed = moesim({"run", file, "--seed", "4"});
  CHECK(seed.code == 2);
  CHECK(seed.err.starts_with("moesim: --seed: this routing is recorded; nothing is drawn from a seed"));
}

}  // namespace moesim::cli
