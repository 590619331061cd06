// Bad input gives one clear line that names the place and what would be right, and exit code 2.

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/file.h"
#include "tests/cli/run_moesim.h"
#include "tests/scratch_folder.h"

namespace moesim::cli {
namespace {

using tests::moesim;
using tests::Run;
using tests::ScratchFolder;

namespace fs = std::filesystem;

struct Case {
  const char* what;
  std::vector<std::string> arguments;
  std::vector<std::string> says;  // all of them in the message
};

// A scenario's text with a tiny cluster, so that each case breaks just one thing.
std::string scenario(const std::string& cluster, const std::string& more = "") {
  return R"({"schema": "moesim.scenario/1", "cluster": )" + cluster +
         R"(, "model": {"preset": "deepseek-v3"}, "routing": {"preset": "balanced"},
           "step": {"scope": "moe_layer", "layer": 30, "tokens_per_gpu": 4},
           "communication": {"kernel": "ideal"})" +
         more + "}";
}

// An npy file, version 1, C order, with this shape text and payload.
std::string npy(const std::string& descr, const std::string& shape, const std::string& payload) {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header += std::string(64 - (10 + header.size() + 1) % 64, ' ') + "\n";
  std::string text = "\x93NUMPY";
  text += std::string("\x01\x00", 2);
  text += static_cast<char>(header.size() & 0xff);
  text += static_cast<char>(header.size() >> 8);
  return text + header + payload;
}

}  // namespace

TEST_CASE("bad input gives one clear line and exit code 2") {
  const ScratchFolder folder;
  const std::string good = "examples/11-hgx-h100.json";
  const auto set = [&](const std::string& assignment) {
    return std::vector<std::string>{"run", good, "--set", assignment};
  };
  const auto with_cluster = [&](const std::string& name, const std::string& cluster) {
    return std::vector<std::string>{"run", folder.write(name, scenario(cluster))};
  };
  const auto with_trace = [&](const std::string& name, const std::string& content) {
    return std::vector<std::string>{"run", good, "--set",
                                    "routing={\"trace\": \"" + folder.write(name, content) + "\"}"};
  };
  const std::string gpus = R"({"name": "a", "kind": "gpu", "model": "h100", "node": 0, "domain": 0, "rail": 0},
                              {"name": "b", "kind": "gpu", "model": "h100", "node": 0, "domain": 0, "rail": 0})";
  const auto link = [](const std::string& a, const std::string& b, const std::string& bandwidth) {
    return R"({"a": ")" + a + R"(", "b": ")" + b + R"(", "kind": "nvlink", "bandwidth": )" + bandwidth +
           R"(, "latency": "1 us"})";
  };
  const auto raw = [&](const std::string& devices, const std::string& links) {
    return R"({"name": "mine", "devices": [)" + devices + R"(], "links": [)" + links + "]}";
  };

  const std::vector<Case> cases = {
      {"no such file", {"run", "nowhere.json"}, {"nowhere.json", "cannot be read"}},
      {"a folder for a file", {"run", "examples"}, {"examples", "is a directory"}},
      {"an empty file", {"run", folder.write("empty.json", "")}, {"empty.json", "not valid JSON"}},
      {"a syntax error", {"run", folder.write("syntax.json", "{\n \"a\": 1,\n}")}, {"syntax.json", "line 3"}},
      {"NaN", {"run", folder.write("nan.json", "{\"a\": NaN}")}, {"nan.json", "line 1"}},
      {"a duplicate key",
       {"run", folder.write("twice.json", scenario("{\"preset\": \"hgx_h100\", \"preset\": \"hgx_h200\"}"))},
       {"twice.json", "/cluster/preset", "duplicate key"}},
      {"an unknown key",
       {"run", folder.write("key.json", scenario("{\"preset\": \"hgx_h100\"}", ", \"modell\": 1"))},
       {"key.json", "\"modell\"", "did you mean \"model\""}},
      {"an unknown key in a step",
       set("step.token_per_gpu=4"),
       {"--set step.token_per_gpu=4", "/step", "did you mean \"tokens_per_gpu\""}},
      {"a missing section",
       {"run", folder.write("few.json", "{\"schema\": \"moesim.scenario/1\"}")},
       {"few.json", "missing key \"cluster\""}},
      {"another schema", set("schema=moesim.scenario/9"), {"/schema", "moesim.scenario/1"}},
      {"an unknown cluster", set("cluster.preset=hgx_h10"), {"/cluster/preset", "hgx_h10", "hgx_h100"}},
      {"0 nodes", set("cluster.nodes=0"), {"/cluster/nodes"}},
      {"0 GPUs",
       with_cluster("zero.json", R"({"star": {"gpus": 0, "gpu": "h100", "bandwidth": "1 GB/s", "latency": "0 us"}})"),
       {"zero.json", "/cluster/star/gpus"}},
      {"no GPU at all", with_cluster("none.json", raw("", "")), {"none.json", "/cluster"}},
      {"a missing unit",
       with_cluster("unit.json", raw(gpus, link("a", "b", "450"))),
       {"unit.json", "/cluster/links/0/bandwidth", "without a unit"}},
      {"an unknown unit",
       with_cluster("gbs.json", raw(gpus, link("a", "b", "\"450 GBps\""))),
       {"gbs.json", "/cluster/links/0/bandwidth", "GB/s"}},
      {"a negative bandwidth",
       with_cluster("negative.json", raw(gpus, link("a", "b", "\"-1 GB/s\""))),
       {"negative.json", "/cluster/links/0/bandwidth", "negative"}},
      {"a disconnected graph", with_cluster("apart.json", raw(gpus, "")), {"apart.json", "/cluster"}},
      {"duplicate device names",
       with_cluster("same.json", raw(gpus + "," + gpus, link("a", "b", "\"1 GB/s\""))),
       {"same.json", "/cluster/devices/2", "\"a\""}},
      {"a link to nowhere",
       with_cluster("loose.json", raw(gpus, link("a", "c", "\"1 GB/s\""))),
       {"loose.json", "/cluster/links/0", "\"c\""}},
      {"more ranks than slots",
       {"run", good, "--set", "placement={\"slots\": 4}", "--set",
        "model={\"preset\": \"deepseek-v3\", \"experts\": 4, \"top_k\": 2, \"groups\": 1, \"top_groups\": 1}"},
       {"/placement/slots", "8"}},
      {"fewer slots than experts", set("placement={\"slots\": 100}"), {"/placement/slots", "256"}},
      {"more experts per token than experts", set("model.top_k=300"), {"top_k"}},
      {"a dense layer", set("step.layer=1"), {"/step/layer", "dense", "from 3 to 60"}},
      {"layers out of order", set("step.layer=[4, 3]"), {"/step/layer/1", "rising order"}},
      {"no layer in a list", set("step.layer=[]"), {"/step/layer", "no layer"}},
      {"a layer by an unknown word", set("step.layer=some"), {"/step/layer", "all"}},
      {"a layer beyond the model", set("step.layer=61"), {"/step/layer", "60"}},
      {"half a token", set("step.tokens_per_gpu=0.5"), {"/step/tokens_per_gpu", "whole number"}},
      {"an unknown kernel", set("communication.kernel=idael"), {"/communication/kernel", "did you mean \"ideal\""}},
      {"an unknown dtype", set("communication.dispatch=fp7"), {"/communication/dispatch"}},
      {"an unknown engine", {"run", good, "--engine", "fluids"}, {"engine", "fluids"}},
      {"the profile of another GPU", set("profile.preset=h200"), {"/profile/preset", "another GPU"}},
      {"a number format the GPU lacks", set("model.weights=nvfp4"), {"/model", "nvfp4", "h100"}},
      {"a trace that is not there", set("routing={\"trace\": \"nowhere.npy\"}"), {"nowhere.npy"}},
      {"a truncated npy", with_trace("short.npy", npy("<i2", "(1024, 58, 8)", "abc")), {"short.npy"}},
      {"a npy of numbers that are no ids",
       with_trace("real.npy", npy("<f8", "(1, 1, 1)", "12345678")),
       {"real.npy", "<f8"}},
      {"not a npy", with_trace("text.npy", "hello"), {"text.npy"}},
      {"an empty trace", with_trace("empty.npy", npy("<i2", "(0, 58, 8)", "")), {"empty.npy"}},
      {"an empty jsonl", with_trace("empty.jsonl", ""), {"empty.jsonl"}},
      {"a broken line of jsonl",
       with_trace("broken.jsonl", "{\"topk_ids\": [[1,2]]}\n{\"topk_ids\": [[1,\n"),
       {"broken.jsonl", "line 2"}},
      {"an expert id out of range",
       {"trace", "import", folder.write("id.jsonl", "{\"topk_ids\": [[1, 70000]]}\n"), "-o", folder.file("id.npy")},
       {"id.jsonl", "70000"}},
      {"an assignment without a value", set("step.layer"), {"--set step.layer", "path=value"}},
      {"an unknown baseline", {"compare", good, "--baseline", "HGX H10"}, {"--baseline", "HGX H100"}},
      {"the same scenario twice", {"compare", good, good}, {"named", "HGX H100"}},
      {"a result that cannot be written", {"run", good, "--json", "nowhere/result.json"}, {"nowhere/result.json"}},
  };
  for (const Case& bad : cases) {
    CAPTURE(bad.what);
    const Run run = moesim(bad.arguments);
    const std::string& message = run.err;
    CAPTURE(message);
    CHECK(run.code == 2);
    CHECK(std::count(message.begin(), message.end(), '\n') == 1);
    CHECK(message.size() < 600);
    for (const std::string& text : bad.says) {
      CAPTURE(text);
      CHECK(message.find(text) != std::string::npos);
    }
  }
  CHECK_FALSE(fs::exists(folder.file("id.npy")));
}

}  // namespace moesim::cli
