#include <string>
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

// All but the time it took.
std::string timeless(const std::string& text) { return text.substr(0, text.rfind("Took ")); }

const std::string h200 = "examples/ten-x/deepseek-r1-h200-ep16.json", gb200 = "examples/ten-x/deepseek-r1-gb200.json";
const std::vector<std::string> quick = {"--users", "20,1000", "--batches", "3", "--layers", "1"};

std::vector<std::string> with_quick(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), quick.begin(), quick.end());
  return arguments;
}

}  // namespace

TEST_CASE("a curve against itself is 1 where it is reached, and no ratio stands where it is not") {
  const ScratchFolder folder;
  const std::string file = folder.file("curve.json");
  const std::vector<std::string> arguments =
      with_quick({"compare", "--curve", h200, "--vary", "step.kv_tokens=4096,4096.0", "--json", file});
  const Run one = moesim(arguments);
  REQUIRE(one.code == 0);
  CHECK(one.err.empty());
  const auto json = nlohmann::json::parse(base::read_file(file));
  REQUIRE(json["clusters"].size() == 2);
  for (const auto& cluster : json["clusters"]) {
    CHECK(cluster["points"][0]["speedup"]["value"] == 1.0);
    CHECK(cluster["points"][1]["speedup"].is_null());
    CHECK(cluster["runs"][0]["scenario_hash"].get<std::string>().size() >= 16);
  }
  // It holds what it was made of.
  CHECK(json["inputs"]["scenarios"][1]["scenario"]["step"]["kv_tokens"] == 4096.0);
  CHECK(json["inputs"]["layers"] == 1);
  CHECK(one.out.find("too slow") != std::string::npos);
  CHECK(one.out.find("inf") == std::string::npos);
}

TEST_CASE("a curve names its baseline, and is the same on any number of threads") {
  const Run one = moesim(with_quick({"compare", "--curve", gb200, h200, "--baseline", "HGX H200"}));
  REQUIRE(one.code == 0);
  CHECK(one.out.find("Per GPU GB200 NVL72 serves") != std::string::npos);
  const Run two = moesim(with_quick({"compare", "--curve", gb200, h200, "--baseline", "HGX H200", "--threads", "2"}));
  CHECK(timeless(two.out) == timeless(one.out));
}

TEST_CASE("any hybrid of a waterfall is printed as a scenario that runs") {
  const Run printed = moesim({"waterfall", "examples/ten-x/deepseek-r1.json", "--hybrid", "HBM bandwidth,placement"});
  REQUIRE(printed.code == 0);
  const auto json = nlohmann::json::parse(printed.out);
  CHECK(json["profile"]["override"]["hbm_bandwidth"] == "8 TB/s");
  CHECK(json["placement"]["strategy"] == "eplb");
  CHECK(json["cluster"]["preset"] == "hgx_h200");
  const ScratchFolder folder;
  const std::string file = folder.write("hybrid.json", printed.out);
  CHECK(moesim({"run", file, "--set", "step.batch=1", "--engine", "bound"}).code == 0);
}

TEST_CASE("what a curve or a waterfall cannot use is one clear line and exit code 2") {
  const struct {
    std::vector<std::string> arguments;
    std::vector<std::string> says;
  } cases[] = {
      {{"compare", "--curve", "examples/01-minimal.json"},
       {"examples/01-minimal.json", "/step", "\"scope\": \"model\""}},
      {{"compare", "--curve", gb200, "--users", "20,x"}, {"--users", "\"x\"", "20,40,80"}},
      {{"compare", "--curve", gb200, "--users", "40,20"}, {"--users", "rising order"}},
      {{"compare", "--curve", gb200, "--baseline", "GB20"}, {"--baseline", "GB200 NVL72"}},
      // What cannot be written is said before the work: --layers 0 would take minutes.
      {{"compare", "--curve", gb200, h200, "--layers", "0", "--json", "nowhere/x.json"}, {"nowhere/x.json", "written"}},
      {{"compare", "--curve", gb200, h200, "--layers", "0", "--csv", "nowhere/x.csv"}, {"nowhere/x.csv", "written"}},
      {{"waterfall", "examples/ten-x/deepseek-r1.json", "--layers", "0", "--json", "nowhere/x.json"},
       {"nowhere/x.json", "written"}},
      {{"run", h200, "--json", "nowhere/x.json"}, {"nowhere/x.json", "written"}},
      {{"waterfall", "nowhere.json"}, {"nowhere.json", "cannot be read"}},
      {{"waterfall", gb200}, {gb200, "/schema", "moesim.waterfall/1"}},
      {{"waterfall", "examples/ten-x/deepseek-r1.json", "--hybrid", "NVLnk"}, {"--hybrid", "NVLnk", "NVLink"}},
  };
  for (const auto& bad : cases) {
    const Run run = moesim(bad.arguments);
    CAPTURE(run.err);
    CHECK(run.code == 2);
    CHECK(run.out.empty());
    for (const std::string& words : bad.says) CHECK(run.err.find(words) != std::string::npos);
  }
}

}  // namespace moesim::cli
