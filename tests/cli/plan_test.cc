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

const std::string gb200 = "examples/60-decode-step.json", h200 = "examples/61-decode-step-h200.json";

// All but the time it took.
std::string timeless(const std::string& text) { return text.substr(0, text.rfind("Took ")); }

std::vector<std::string> plan(std::vector<std::string> more) {
  std::vector<std::string> arguments = {"plan", "--requests", "100",   "--input-tokens", "512",  "--output-tokens",
                                        "128",  "--tpot",     "50 ms", "--batches",      "3",    "--layers",
                                        "1",    "--draws",    "20",    "--engine",       "bound"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("a plan answers first, then tables and reasons, the same on any number of threads") {
  const ScratchFolder folder;
  const std::string file = folder.file("plan.json");
  const Run one = moesim(plan({gb200, h200, "--json", file, "--price", "GB200 NVL72=4", "--ttft", "2 s"}));
  CAPTURE(one.err);
  REQUIRE(one.code == 0);
  CHECK(one.out.starts_with("To serve 100 requests/s of 512 input and 128 output tokens with DeepSeek-V3, at most"));
  for (const char* part : {"80 % interval", "Why:", "How sure:", "Not in it:", "limited by", "price per hour"})
    CHECK(one.out.find(part) != std::string::npos);
  const auto json = nlohmann::json::parse(base::read_file(file));
  for (const auto& choice : json["choices"]) {
    // The load, no more than what the instances can do, and more than with one of them less.
    const double served = choice["requests_per_s_per_instance"], instances = choice["instances"];
    CHECK(served * instances >= 100 * (1 - 1e-9));
    CHECK(served * (instances - 1) < 100);
    CHECK(choice["gpus"] == instances * choice["gpus_per_instance"].get<double>());
    CHECK(choice["time_per_output_token_s"].get<double>() <= 0.05 * (1 + 1e-9));
    // Little's law: requests that run in an instance.
    const auto& near = choice["runs"][0];
    const double running = choice["batch"].get<double>() * near["sequences_per_gpu"].get<double>() /
                           near["batch"].get<double>() * choice["gpus_per_instance"].get<double>();
    CHECK(served * 128 * choice["time_per_output_token_s"].get<double>() == doctest::Approx(running));
  }
  CHECK(timeless(moesim(plan({gb200, h200, "--price", "GB200 NVL72=4", "--ttft", "2 s", "--threads", "2"})).out) ==
        timeless(one.out));
}

TEST_CASE("a plan repeats itself, and with another load") {
  const ScratchFolder folder;
  const std::string first = folder.file("first.json"), second = folder.file("second.json");
  REQUIRE(moesim(plan({h200, "--vary", "cluster.nodes=4,9", "--json", first})).code == 0);
  REQUIRE(moesim({"plan", first, "--json", second}).code == 0);
  const auto json = nlohmann::json::parse(base::read_file(first));
  CHECK(nlohmann::json::parse(base::read_file(second)) == json);
  CHECK(json["inputs"]["scenarios"].size() == 2);
  REQUIRE(moesim({"plan", first, "--requests", "1000000", "--json", second}).code == 0);
  const auto larger = nlohmann::json::parse(base::read_file(second));
  CHECK(larger["choices"][0]["load"].get<double>() > 0.99);
  CHECK(larger["choices"][0]["instances"].get<std::int64_t>() > 100);
}

TEST_CASE("what a plan lacks or cannot read is one line") {
  const auto refused = [](const std::vector<std::string>& arguments) {
    const Run run = moesim(arguments);
    CHECK(run.code == 2);
    CHECK(run.out.empty());
    CHECK(std::count(run.err.begin(), run.err.end(), '\n') == 1);
    return run.err;
  };
  CHECK(refused({"plan", h200, "--requests", "1"}).starts_with("moesim: --input-tokens: is missing"));
  CHECK(refused(plan({h200, "--ttft", "5"})).starts_with("moesim: --ttft: \"5\""));
  CHECK(refused(plan({h200, "--price", "HGX H200"})).starts_with("moesim: --price: \"HGX H200\""));
  CHECK(refused(plan({h200, "--price", "HGX=2"})).find("no scenario is named \"HGX\"") != std::string::npos);
  CHECK(refused(plan({"examples/01-minimal.json"})).find("not a whole model's step") != std::string::npos);
  CHECK(refused(plan({h200, "--set", "step.phase=prefill"})).find("phase") != std::string::npos);
}

}  // namespace moesim::cli
