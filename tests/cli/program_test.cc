
#include <algorithm>
#include <filesystem>
#include <sstream>

#include <doctest/doctest.h>

#include "base/file.h"
#include "base/json.h"
#include "tests/cli/run_moesim.h"

namespace moesim::cli {
namespace {

using tests::moesim;
using tests::Run;

}  // namespace

TEST_CASE("every verb explains itself with an example") {
  const std::vector<std::vector<std::string>> verbs = {{},
                                                       {"run"},
                                                       {"compare"},
                                                       {"topology"},
                                                       {"topology", "list"},
                                                       {"topology", "show"},
                                                       {"topology", "check"},
                                                       {"trace"},
                                                       {"trace", "import"},
                                                       {"trace", "stats"},
                                                       {"trace", "generate"},
                                                       {"model"},
                                                       {"model", "list"},
                                                       {"model", "show"}};
  for (std::vector<std::string> verb : verbs) {
    verb.push_back("--help");
    const Run help = moesim(verb);
    CHECK(help.code == 0);
    CHECK(help.out.find("Example: moesim") != std::string::npos);
  }
}

TEST_CASE("no verb, an unknown verb and an unknown option are bad input") {
  CHECK(moesim({}).code == 2);
  CHECK(moesim({"runn"}).code == 2);
  CHECK(moesim({"run", "--fast", "x.json"}).code == 2);
}

TEST_CASE("run says first how long it takes, then why, then how sure") {
  const Run run = moesim({"run", "examples/01-minimal.json"});
  CHECK(run.code == 0);
  CHECK(run.err.empty());
  const auto takes = run.out.find("takes "), why = run.out.find("Why: "), sure = run.out.find("How sure: ");
  CHECK(takes < why);
  CHECK(why < sure);
  CHECK(sure < run.out.size());
  CHECK(run.out.find("memory not checked") != std::string::npos);
}

TEST_CASE("all layers of a model run in one go, the same on any number of threads") {
  const auto with = [](const char* threads) {
    return moesim({"run", "examples/11-hgx-h100.json", "--set", "step.layer=all", "--set", "step.tokens_per_gpu=4",
                   "--threads", threads});
  };
  const Run one = with("1");
  CHECK(one.code == 0);
  CHECK(one.out.find("58 MoE layers of DeepSeek-V3 (layers 3 to 60)") != std::string::npos);
  CHECK(one.out.find("a layer takes ") != std::string::npos);
  CHECK(with("4").out == one.out);
}

TEST_CASE("compare names what the speedup is of, and its baseline counts as 1") {
  const Run run = moesim({"compare", "examples/11-hgx-h100.json", "examples/13-gb200-nvl72.json", "--baseline",
                          "GB200 NVL72", "--threads", "2"});
  CHECK(run.code == 0);
  CHECK(run.out.find("Speedup in tokens/s/GPU of one MoE layer of DeepSeek-V3") == 0);
  CHECK(run.out.find("against GB200 NVL72") != std::string::npos);
  CHECK(run.out.find("1.00x") != std::string::npos);
}

TEST_CASE("compare tells what else than the clusters differs, and how sure the speedup is") {
  const std::string h100 = "examples/11-hgx-h100.json", nodes = "examples/12-hgx-h200-9-nodes.json",
                    pcie = "examples/10-pcie-box.json";
  const Run run = moesim({"compare", pcie, nodes});
  CHECK(run.out.find("80 % interval, errors unrelated") != std::string::npos);
  CHECK(run.out.find("experts run on wide_ep in \"9 x HGX H200\" and on grouped_gemm in \"PCIe box\"") !=
        std::string::npos);
  CHECK(run.out.find("the routing is one draw") != std::string::npos);
  const Run alike = moesim({"compare", pcie, nodes, "--set", "experts.kernel=grouped_gemm"});
  CHECK(alike.code == 0);
  CHECK(alike.out.find("experts run on") == std::string::npos);
  const Run scopes = moesim({"compare", h100, "examples/60-decode-step.json"});
  CHECK(scopes.code == 2);
  CHECK(scopes.err.find("there is no speedup between them; expected the same step.scope in all") != std::string::npos);
}

TEST_CASE("compare gives the same output for any number of threads") {
  const auto with = [](const char* threads) {
    return moesim({"compare", "examples/10-pcie-box.json", "examples/11-hgx-h100.json", "examples/13-gb200-nvl72.json",
                   "--threads", threads});
  };
  const Run one = with("1");
  CHECK(one.code == 0);
  CHECK(with("3").out == one.out);
}

TEST_CASE("what topology show prints as JSON reads back to the same") {
  const std::string path = std::filesystem::temp_directory_path() / "moesim-program-test-topology.json";
  for (const char* preset : {"gb200_nvl72", "hgx_h100", "hgx_h200", "hgx_b300", "mi300x_8", "pcie_h100_8",
                             "pcie_l40s_8", "pcie_rtx_pro_6000_8"}) {
    CAPTURE(preset);
    const Run first = moesim({"topology", "show", preset, "--json"});
    CHECK(first.code == 0);
    base::write_file(path, first.out);
    const Run again = moesim({"topology", "show", path, "--json"});
    CHECK(again.err.empty());
    CHECK(again.out == first.out);
    CHECK(moesim({"topology", "check", path}).code == 0);
  }
  std::filesystem::remove(path);
}

TEST_CASE("the lists name what can be shown") {
  for (const char* what : {"topology", "model"}) {
    const Run list = moesim({what, "list"});
    CHECK(list.code == 0);
    std::istringstream lines(list.out);
    std::string name, rest;
    int count = 0;
    while (lines >> name && std::getline(lines, rest)) {
      CAPTURE(name);
      CHECK(moesim({what, "show", name}).code == 0);
      CHECK(moesim({what, "show", name, "--sources"}).code == 0);
      ++count;
    }
    CHECK(count >= 2);
  }
}

TEST_CASE("compare runs a scenario with all kernels that can run there, and says why others cannot") {
  const Run run = moesim({"compare", "examples/11-hgx-h100.json", "--kernels", "all"});
  CHECK(run.code == 0);
  for (const char* kernel : {"deepep_low_latency", "deepep_normal", "nvlink_one_sided", "nccl_alltoall"})
    CHECK(run.out.find(kernel) != std::string::npos);
  CHECK(run.out.find("80 % interval") != std::string::npos);
  const Run pcie = moesim({"compare", "examples/10-pcie-box.json", "--kernels", "all"});
  CHECK(pcie.code == 0);
  CHECK(pcie.out.find("not compared: \"deepep_normal\" needs NVLink between the GPUs of a node\n") !=
        std::string::npos);
  // fp8 experts: refused for what the kernel brings along, not for where it runs.
  const Run rack = moesim({"compare", "examples/13-gb200-nvl72.json", "--kernels", "all"});
  CHECK(rack.code == 0);
  CHECK(rack.out.find("not compared: ") != std::string::npos);
  CHECK(rack.out.find("multiplies gated experts in fp4") != std::string::npos);
  const Run refused = moesim({"compare", "examples/10-pcie-box.json", "--kernels", "nvlink_one_sided"});
  CHECK(refused.code == 2);
  CHECK(refused.err.find("/communication/kernel") != std::string::npos);
  CHECK(moesim({"compare", "examples/10-pcie-box.json", "--kernels", "deepep"}).code == 2);
}

TEST_CASE("a kernel that cannot run is told with those that can, and no other") {
  const auto error = [](const std::string& example, const std::string& kernel) {
    const Run run = moesim({"run", "examples/" + example, "--set", "communication.kernel=" + kernel});
    CHECK(run.code == 2);
    return run.err;
  };
  const std::string on_pcie = "ideal, nccl_alltoall, allgather_reducescatter\n";
  for (const char* kernel : {"deepep_low_latency", "nvlink_one_sided", "hierarchical_2d", "fused_moe"})
    CHECK(error("10-pcie-box.json", kernel).ends_with("what can run here: " + on_pcie));
  CHECK(error("10-pcie-box.json", "nothing").ends_with("one of " + on_pcie));
  CHECK(error("12-hgx-h200-9-nodes.json", "nvlink_two_sided")
            .ends_with("ideal, deepep_low_latency, deepep_normal, nccl_alltoall, allgather_reducescatter, "
                       "hierarchical_2d\n"));
  CHECK(
      error("20-isca25-exchange-50.json", "nccl_alltoall").ends_with("what can run here: ideal; or another profile\n"));
}

TEST_CASE("values that vary may be JSON, with commas of its own") {
  const Run run =
      moesim({"compare", "examples/11-hgx-h100.json", "--engine", "bound", "--vary",
              R"(routing.generate={"preset":"deepseek-v3-decode","seed":1},{"preset":"balanced","seed":2})"});
  CHECK(run.code == 2);  // the second is no generator's: both were read whole
  CHECK(run.err.find("/routing/generate/preset") != std::string::npos);
  const Run layers =
      moesim({"compare", "examples/11-hgx-h100.json", "--engine", "bound", "--vary", "step.layer=[3,4],5"});
  CHECK(layers.code == 0);
  CHECK(layers.out.find("layer [3,4]") != std::string::npos);
}

TEST_CASE("reports, lists and help fit into 120 columns") {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"topology", "list"},
        {"run", "examples/11-hgx-h100.json", "--engine", "bound"},
        {"run", "examples/61-decode-step-h200.json", "--engine", "bound", "--set", "step.kv_tokens=100"},
        {"compare", "examples/11-hgx-h100.json", "--engine", "bound", "--vary",
         "step.tokens_per_gpu=1,2,3,4,5,6,7,8,9,10"},
        {"compare", "--help"},
        {"calibrate", "fit", "--help"},
        {"calibrate", "check", "examples/10-pcie-box.json"},
        {"calibrate", "show", "h100", "--kernel", "nccl_nvlink"}}) {
    std::istringstream lines(moesim(command).out);
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      CHECK(line.size() <= 120);
    }
  }
}

TEST_CASE("compare varies a value, and names each scenario by it") {
  const Run run = moesim({"compare", "examples/11-hgx-h100.json", "--vary", "step.tokens_per_gpu=16,64"});
  CHECK(run.code == 0);
  CHECK(run.out.find("tokens_per_gpu 16") != std::string::npos);
  CHECK(run.out.find("tokens_per_gpu 64") != std::string::npos);
  for (const char* bad : {"step.tokens_per_gpu", "=3", "step.tokens_per_gpu="})
    CHECK(moesim({"compare", "examples/11-hgx-h100.json", "--vary", bad}).code == 2);
}

TEST_CASE("a generated trace has its statistics told, and the same seed gives the same file") {
  const auto folder = std::filesystem::temp_directory_path();
  const std::string a = (folder / "moesim-generated-a.npy").string(), b = (folder / "moesim-generated-b.npy").string();
  const auto make = [](const std::string& file, const char* seed) {
    return moesim(
        {"trace", "generate", "--preset", "deepseek-v3-decode", "--tokens", "300", "--seed", seed, "-o", file});
  };
  CHECK(make(a, "3").code == 0);
  CHECK(make(b, "3").code == 0);
  CHECK(base::read_file(a) == base::read_file(b));
  CHECK(make(b, "4").code == 0);
  CHECK(base::read_file(a) != base::read_file(b));
  const auto side = base::load_json(a + ".json");
  CHECK(base::JsonNode(side).member("layers").integer(0, 100) == 58);
  const Run stats = moesim({"trace", "stats", a, "--experts", "256"});
  CHECK(stats.code == 0);
  for (const char* text :
       {"300 tokens, 58 MoE layers, top-8 of 256 experts", "Zipf exponent", "if uniform", "foretell"})
    CHECK(stats.out.find(text) != std::string::npos);
  // Without --experts: the file beside the trace tells.
  CHECK(moesim({"trace", "stats", a}).out.find("top-8 of 256 experts\n") != std::string::npos);
  CHECK(stats.out.find("are so in another quarter") != std::string::npos);
  CHECK(stats.out.find("layer 53-57") != std::string::npos);
  const Run uneven = moesim({"trace", "stats", a, "--ep", "9,72"});
  CHECK(uneven.code == 0);
  CHECK(uneven.out.find("ranks do not divide 256 experts") != std::string::npos);
  CHECK(moesim({"trace", "stats", "no-such.npy"}).code == 2);
  CHECK(moesim({"trace", "generate", "--preset", "nobody", "-o", b}).code == 2);
  // From a preset with a changed parameter, the law of kernel benchmarks, counts: exactly one of them.
  CHECK(moesim({"trace", "generate", "--preset", "qwen3-30b-a3b", "--set", "topics=8", "--model", "qwen3-30b-a3b",
                "--tokens", "64", "-o", b})
            .code == 0);
  const auto changed = base::load_json(b + ".json");
  CHECK(base::JsonNode(changed).member("routing").member("generate").member("topics").integer(0, 100) == 8);
  CHECK(moesim({"trace", "generate", "--power-law", "1.2", "--tokens", "64", "-o", b}).out.find("any groups") !=
        std::string::npos);
  const std::string counts = (folder / "moesim-counts.json").string();
  base::write_file(counts, R"({"logical_count": [[0, 0, 0, 0], [5, 2, 2, 1]]})");
  const Run of_counts = moesim({"trace", "stats", counts});
  CHECK(of_counts.code == 0);
  CHECK(of_counts.out.find("expert counts of 1 MoE layers, 4 experts; layer 0 of the file has no experts") !=
        std::string::npos);
  CHECK(moesim({"trace", "generate", "--counts", counts, "-o", b}).err.find("the model DeepSeek-V3 has 58") !=
        std::string::npos);
  CHECK(moesim({"trace", "generate", "-o", b}).code == 2);
  // Import checks the model that is named.
  CHECK(moesim({"trace", "import", a, "-o", b, "--model", "deepseek-v3"}).code == 0);
  CHECK(base::read_file(a) == base::read_file(b));
  CHECK(moesim({"trace", "import", a, "-o", b, "--model", "qwen3-30b-a3b"}).code == 2);
  for (const std::string& file : {a, b, a + ".json", b + ".json", counts}) std::filesystem::remove(file);
}

}  // namespace moesim::cli
