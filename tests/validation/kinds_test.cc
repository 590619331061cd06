// Which kind a table is, which system, and what bad tables say.
#include "validation/kinds.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "tests/reference_data.h"

namespace moesim::validation {
namespace {

using calibration::Table;

std::string_view kind_of(const std::string& text) { return recognise(Table::parse(text, "t.csv")).name; }

}  // namespace

TEST_CASE("a kind is recognised by its columns, in any order and beside others") {
  CHECK(kind_of("dtype,m,n,k,latency_us\nfp8,1,2,3,4\n") == "C1");
  CHECK(kind_of("k,latency_us,note,dtype,n,m\n1,2,x,fp8,3,4\n") == "C1");
  CHECK(kind_of("op,dtype,num_gpus,bytes,latency_us\nall_gather,half,8,512,9\n") == "N1");
}

TEST_CASE("of several kinds the one with most columns is meant, and values decide between equals") {
  const std::string wide = "phase,dtype,hidden,inter,topk,experts,ep,dist,tokens_global,latency_us";
  const std::string values = "context,fp8_block,7168,2048,8,256,2,uniform,32,323.5";
  CHECK(kind_of(wide + "\n" + values + "\n") == "C3");
  CHECK(kind_of(wide + ",tokens_per_rank\n" + values + ",16\n") == "N6");
  const std::string deepep =
      "nodes,ep,hidden,topk,experts,tokens_per_rank,dispatch_us,combine_us\n1,8,7168,8,256,1,16,12\n";
  CHECK(kind_of(deepep) == "N3");
  CHECK(kind_of(deepep + "2,16,7168,8,256,1,30,40\n") == "N2");
}

TEST_CASE("a missing column and a time in another unit are named") {
  CHECK_THROWS_WITH(kind_of("dtype,m,n,latency_us\nfp8,1,2,3\n"),
                    doctest::Contains("a table C1 (GEMM) lacks the column \"k\""));
  CHECK_THROWS_WITH(kind_of("dtype,m,n,k,latency_ms\nfp8,1,2,3,4\n"),
                    doctest::Contains("\"latency_ms\" of a table C1 (GEMM); expected \"latency_us\", a time in micro"));
  CHECK_THROWS_WITH(kind_of("city,height\nX,3\n"), doctest::Contains("no known kind"));
}

TEST_CASE("every measured table is of the kind that its folder names") {
  const auto folder = tests::reference_data("measured/train");
  if (!folder) return;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(*folder)) {
    if (entry.path().extension() != ".csv") continue;
    const std::string path = entry.path().string();
    CAPTURE(path);
    const std::string expected = entry.path().parent_path().filename().string().substr(0, 2);
    CHECK(recognise(Table::read(path)).name == expected);
    if (expected != "E1") CHECK_FALSE(system_of_file(path).empty());
  }
}

TEST_CASE("every system has the profile of its GPU and a cluster of that GPU for 2 and for 8") {
  for (const std::string& name : system_names()) {
    CAPTURE(name);
    const System system(name);
    for (const std::int32_t gpus : {2, 8}) {
      const auto view = system.cluster(gpus);
      CHECK(view->cluster.gpu == system.profile().name);
      CHECK(static_cast<std::int32_t>(view->cluster.gpus.size()) >= gpus);
      CHECK(view == system.cluster(gpus));
    }
  }
  CHECK(System("gb200").cluster(72)->cluster.gpus.size() == 72);
  CHECK(System("hopper_8gpu_ib400").cluster(16)->cluster.gpus.size() == 16);
}

TEST_CASE("systems of measured/systems are known, b60 is refused by name, others with a suggestion") {
  CHECK_THROWS_WITH(System("b60"), doctest::Contains("Intel"));
  CHECK_THROWS_WITH(System("h100_smx"), doctest::Contains("did you mean \"h100_sxm\""));
  const auto folder = tests::reference_data("measured/systems");
  if (!folder) return;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    const std::string name = entry.path().stem().string();
    CAPTURE(name);
    if (name != "b60") CHECK_NOTHROW(System{name});
  }
}

TEST_CASE("a file's system is what its name starts with") {
  CHECK(system_of_file("some/where/h100_sxm__gemm_trtllm_1.0.0.csv") == "h100_sxm");
  CHECK(system_of_file("e2e__x.csv").empty());
  CHECK(system_of_file("h100_sxm.csv").empty());
}

}  // namespace moesim::validation
