// The verbs validate and calibrate, in process, on small tables.

#include <algorithm>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "calibration/table.h"
#include "tests/cli/run_moesim.h"
#include "tests/scratch_folder.h"
#include "validation/kinds.h"

namespace moesim::cli {
namespace {

using tests::moesim;
using tests::Run;
using tests::ScratchFolder;

constexpr const char* kServing =
    "model,system,mode,backend,precision,isl,osl,concurrency,tp,attn_dp,moe_tp,moe_ep,ttft_ms,tpot_ms\n";

constexpr const char* kGemm =
    "dtype,m,n,k,latency_us\n"
    "bfloat16,1,128,128,2.8\nbfloat16,4096,4096,4096,190\nfp8,4096,4096,4096,140\nint3,1,2,3,4\n";

}  // namespace

TEST_CASE("validate scores every row and writes errors, rows and a plot") {
  const ScratchFolder folder;
  const std::string table = folder.write("t.csv", kGemm);
  const Run run = moesim({"validate", "--system", "h200_sxm", table, "--json", folder.file("e.json"), "--rows",
                          folder.file("r.csv"), "--plot", folder.file("p.svg")});
  CHECK(run.err == "");
  CHECK(run.code == 0);
  CHECK(run.out.find("skipped 1 rows: GEMM in int3 is not modelled") != std::string::npos);
  const auto document = base::load_json(folder.file("e.json"));
  const base::JsonNode json(document);
  CHECK(json.member("system").string() == "h200_sxm");
  CHECK(json.member("kind").string() == "C1");
  CHECK(json.member("rows").integer(0, 100) == 3);
  CHECK(json.member("groups").size() == 2);
  const std::string rows = base::read_file(folder.file("r.csv"));
  CHECK(std::count(rows.begin(), rows.end(), '\n') == 5);
  CHECK(rows.starts_with("dtype,m,n,k,latency_us,predicted_us\nbfloat16,1,128,128,2.8,"));
  CHECK(rows.ends_with("int3,1,2,3,4,\n"));
  CHECK(base::read_file(folder.file("p.svg")).starts_with("<svg"));
}

TEST_CASE("a profile fitted to one table is used by validate and only for its GPU") {
  const ScratchFolder folder;
  std::string text = "dtype,m,n,k,latency_us\n";
  for (const int m : {1, 64, 1024, 8192})
    for (const int n : {512, 4096, 16384})
      text += "bfloat16," + std::to_string(m) + "," + std::to_string(n) + ",4096,500\n";
  const std::string table = folder.write("t.csv", text), profile = folder.file("p.json");
  CHECK(moesim({"calibrate", "fit", "--table", table, "--system", "h100_sxm", "-o", profile}).code == 0);
  const Run own = moesim({"validate", "--system", "h100_sxm", table, "--profile", profile});
  CHECK(own.code == 0);
  CHECK(own.out != moesim({"validate", "--system", "h100_sxm", table}).out);
  const Run other = moesim({"validate", "--system", "b200_sxm", table, "--profile", profile});
  CHECK(other.code == 2);
  CHECK(other.err.find("\"b200\"") != std::string::npos);
}

TEST_CASE(
    "serving is scored by the time per output token; what is not modelled is listed, TTFT is a group of its own") {
  const ScratchFolder folder;
  const std::string table = folder.write(
      "e1.csv", std::string(kServing) + "Qwen3-30B-A3B,h100_sxm,agg,vllm,bf16,1024,1024,8,2,1,2,1,100,10\n" +
                    "Qwen3-30B-A3B,h100_sxm,disagg,vllm,bf16,1024,1024,8,2,1,2,1,100,10\n" +
                    "Nobody-9B,h100_sxm,agg,vllm,bf16,1024,1024,8,2,1,2,1,100,10\n");
  const std::string json = folder.file("scores.json"), rows = folder.file("rows.csv");
  const Run run = moesim({"validate", "--system", "h100_sxm", table, "--json", json, "--rows", rows});
  CHECK(run.code == 0);
  CHECK(run.out.find("TTFT, not scored") != std::string::npos);
  const base::Json scores = base::Json::parse(base::read_file(json));
  CHECK(scores["rows"] == 1);
  CHECK(scores["skipped"].size() == 2);
  const auto predicted = calibration::Table::read(rows);
  CHECK(predicted.number(0, "predicted_us") > 1000);
  CHECK(predicted.number(0, "ttft_predicted_us") > predicted.number(0, "predicted_us"));
  CHECK(scores["median"].get<double>() ==
        doctest::Approx(std::abs(predicted.number(0, "predicted_us") / 10000 - 1)).epsilon(1e-6));
  CHECK(predicted.empty(1, "predicted_us"));
}

TEST_CASE("GPUs of a serving plan that a table counts twice are counted once, and it is said") {
  const ScratchFolder folder;
  const std::string row = "Qwen3-30B-A3B,h100_sxm,agg,trtllm,bf16,1024,1024,8,";
  const std::string table = folder.write(
      "e1.csv", std::string(kServing) + row + "4,1,2,2,100,10\n" + row + "2,1,1,2,100,10\n" + row + "1,4,2,2,100,10\n" +
                    row + "1,2,1,2,100,10\n" + row + "4,,2,2,100,10\n" + row + "8,1,4,2,100,10\n");
  const std::string rows = folder.file("rows.csv"), json = folder.file("scores.json");
  CHECK(moesim({"validate", "--system", "h100_sxm", table, "--rows", rows, "--json", json}).code == 0);
  const auto predicted = calibration::Table::read(rows);
  const auto time = [&](std::size_t r) { return predicted.number(r, "predicted_us"); };
  CHECK(time(0) == time(1));
  CHECK(time(2) == time(3));
  CHECK(time(0) != time(2));
  // An empty column, or no square: as it stands.
  CHECK(time(4) != time(0));
  const base::Json scores = base::Json::parse(base::read_file(json));
  CHECK(scores["rows"] == 6);
  REQUIRE(scores["reread"].size() == 1);
  CHECK(scores["reread"][0]["rows"] == 2);
}

TEST_CASE("docs/calibration.md lists the columns of every kind of table") {
  std::istringstream lines(base::read_file("docs/calibration.md"));
  std::vector<std::string> rows;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("| ")) rows.push_back(line);
  for (const validation::TableKind& kind : validation::table_kinds()) {
    CAPTURE(kind.name);
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const std::string& line) {
      return (" " + line.substr(2, line.find('|', 2) - 2)).find(" " + std::string(kind.name)) != std::string::npos;
    });
    REQUIRE(row != rows.end());
    for (const std::string_view column : kind.columns) {
      CAPTURE(column);
      CHECK(row->find("`" + std::string(column) + "`") != std::string::npos);
    }
  }
}

TEST_CASE("bad tables and systems give one clear line and exit code 2") {
  const ScratchFolder folder;
  const auto check = [&](const std::vector<std::string>& arguments, const std::vector<std::string>& says) {
    const Run run = moesim(arguments);
    CAPTURE(run.err);
    CHECK(run.code == 2);
    CHECK(std::count(run.err.begin(), run.err.end(), '\n') == 1);
    for (const std::string& text : says) {
      CAPTURE(text);
      CHECK(run.err.find(text) != std::string::npos);
    }
  };
  const auto table = [&](const std::string& name, const std::string& text, const std::vector<std::string>& says) {
    check({"validate", "--system", "h100_sxm", folder.write(name, text)}, says);
  };
  table("empty.csv", "", {"empty.csv", "is empty"});
  table("bare.csv", "dtype,m,n,k,latency_us\n", {"bare.csv", "no rows"});
  table("lacks.csv", "dtype,m,n,latency_us\nfp8,1,2,3\n", {"lacks.csv", "lacks the column \"k\""});
  table("unit.csv", "dtype,m,n,k,latency_ms\nfp8,1,2,3,4\n", {"unit.csv", "latency_ms", "latency_us"});
  table("negative.csv", "dtype,m,n,k,latency_us\nfp8,1,2,3,4\nfp8,1,2,3,-4\n", {"negative.csv: line 3", "-4"});
  table("nan.csv", "dtype,m,n,k,latency_us\nfp8,1,2,3,nan\n", {"nan.csv: line 2", "nan"});
  table("n5.csv",
        "kernel,phase,dtype,ep,tokens_per_rank,hidden,topk,experts,latency_us\nx,combine,fp8,2,1,7168,8,256,9\n",
        {"n5.csv: line 2", "\"x\"", "NVLinkOneSided"});
  table("e1.csv", std::string(kServing) + "Qwen3-30B-A3B,h200_sxm,agg,vllm,bf16,1024,1024,8,2,1,2,1,100,10\n",
        {"e1.csv: line 2", "\"system\"", "another system", "h100_sxm"});
  // Before any row is made a scenario, which the first of these could not be.
  const std::string row = ",agg,vllm,bf16,1024,1024,8,2,1,2,1,100,10\n";
  table("mixed.csv",
        std::string(kServing) + "Qwen3-30B-A3B,h100_sxm,agg,vllm,bf16,x,1024,8,2,1,2,1,100,10\nQwen3-30B-A3B,h200_sxm" +
            row,
        {"mixed.csv: line 3", "another system"});
  table("other.csv", "a,b\n1,2\n", {"no known kind", "docs/calibration.md"});
  const std::string good = folder.write("good.csv", kGemm);
  check({"validate", "--system", "h100", good}, {"unknown system \"h100\"", "h100_sxm"});
  check({"validate", "--system", "b60", good}, {"b60", "NVIDIA"});
  check({"validate", good}, {"--system"});
  check({"validate", "--system", "h100_sxm"}, {"FILE.csv"});
  check({"validate", "--system", "h100_sxm", folder.file("nowhere.csv")}, {"nowhere.csv"});
  check({"calibrate", "fit", "--table", good, "--system", "h100_sxm"}, {"-o"});
  check({"calibrate", "fit", "--all"}, {"--tables"});
  check({"calibrate", "fit", "--all", "--tables", folder.file("nowhere")}, {"nowhere"});
}

}  // namespace moesim::cli
