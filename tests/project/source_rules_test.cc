// Made-up files that keep and break each rule: the rules can fail.
#include "tests/project/source_rules.h"

#include <doctest/doctest.h>

namespace moesim::tests {
namespace {

const std::set<std::string> kPresent{"base/units.h",        "topology/graph.h",    "workloads/trace.h",
                                     "results/metrics.h",   "sim/engine/engine.h", "sim/lowering/kernel.h",
                                     "sim/step/step.h",     "sim/scenario.h",      "calibration/fit.h",
                                     "planning/compare.h",  "validation/tables.h", "calibration/profile/profile.h",
                                     "report/table.h",      "cli/program.h",       "tests/reference_data.h",
                                     "kernels/harness.cuh", "surprise/something.h"};

std::vector<std::string> including(const std::string& path, const std::string& include) {
  return include_problems({path, "// a file\n#include " + include + "\n"}, kPresent);
}

bool may_include(const std::string& path, const std::string& header) {
  return including(path, "\"" + header + "\"").empty();
}

TEST_CASE("arrows of the table are accepted, through as many steps as it takes") {
  CHECK(may_include("base/json.h", "base/units.h"));
  CHECK(may_include("topology/graph.cc", "base/units.h"));
  CHECK(may_include("sim/engine/engine.cc", "topology/graph.h"));
  CHECK(may_include("sim/lowering/ideal.cc", "workloads/trace.h"));
  CHECK(may_include("sim/lowering/ideal.cc", "calibration/profile/profile.h"));
  CHECK(may_include("sim/step/step.cc", "topology/graph.h"));
  CHECK(may_include("sim/scenario.cc", "sim/step/step.h"));
  CHECK(may_include("validation/tables.cc", "calibration/fit.h"));
  CHECK(may_include("planning/compare.cc", "base/units.h"));
  CHECK(may_include("report/table.cc", "results/metrics.h"));
  CHECK(may_include("cli/main.cc", "report/table.h"));
  CHECK(may_include("tests/cli/run_test.cc", "cli/program.h"));
  CHECK(may_include("benchmarks/engine.cc", "tests/reference_data.h"));
}

TEST_CASE("arrows that the table lacks are refused") {
  CHECK_FALSE(may_include("base/json.h", "topology/graph.h"));
  CHECK_FALSE(may_include("topology/graph.cc", "workloads/trace.h"));
  CHECK_FALSE(may_include("workloads/trace.cc", "topology/graph.h"));
  CHECK_FALSE(may_include("results/metrics.cc", "sim/engine/engine.h"));
  CHECK_FALSE(may_include("sim/engine/engine.cc", "workloads/trace.h"));
  CHECK_FALSE(may_include("sim/engine/engine.cc", "sim/lowering/kernel.h"));
  CHECK_FALSE(may_include("sim/lowering/ideal.cc", "sim/step/step.h"));
  CHECK_FALSE(may_include("sim/lowering/ideal.cc", "calibration/fit.h"));
  CHECK_FALSE(may_include("sim/step/step.cc", "sim/scenario.h"));
  CHECK_FALSE(may_include("calibration/fit.cc", "sim/step/step.h"));
  CHECK_FALSE(may_include("calibration/profile/profile.cc", "calibration/fit.h"));
  CHECK_FALSE(may_include("report/table.cc", "sim/engine/engine.h"));
  CHECK_FALSE(may_include("planning/compare.cc", "report/table.h"));
  CHECK_FALSE(may_include("kernels/bandwidth.cu", "base/units.h"));
  CHECK_FALSE(may_include("cli/main.cc", "tests/reference_data.h"));
  CHECK_FALSE(may_include("sim/step/step.cc", "planning/compare.h"));
}

TEST_CASE("a refused arrow names file, line and both folders") {
  const auto problems = including("base/json.cc", "\"topology/graph.h\"");
  REQUIRE(problems.size() == 1);
  CHECK(problems[0] == "base/json.cc:2: base/ may not include topology/ (\"topology/graph.h\")");
}

TEST_CASE("an include that is not a full path of a present file is refused") {
  CHECK_FALSE(may_include("base/json.cc", "units.h"));
  CHECK_FALSE(may_include("base/json.cc", "../base/units.h"));
  CHECK_FALSE(may_include("base/json.cc", "base/gone.h"));
  CHECK_FALSE(may_include("base/json.cc", "surprise/something.h"));
  CHECK_FALSE(may_include("surprise/something.cc", "base/units.h"));
}

TEST_CASE("spaces around an include do not hide it") {
  CHECK_FALSE(include_problems({"base/a.cc", "  #  include   \"topology/graph.h\"\n"}, kPresent).empty());
}

TEST_CASE("own headers in angles and private libraries elsewhere are refused") {
  CHECK(including("base/json.cc", "<vector>").empty());
  CHECK_FALSE(including("base/json.cc", "<base/units.h>").empty());
  CHECK(including("sim/engine/simgrid_engine.cc", "<simgrid/s4u.hpp>").empty());
  CHECK_FALSE(including("sim/step/step.cc", "<simgrid/s4u.hpp>").empty());
  CHECK_FALSE(including("cli/main.cc", "<sqlite3.h>").empty());
  CHECK(including("kernels/bandwidth.cu", "<cuda_runtime.h>").empty());
  CHECK_FALSE(including("calibration/measure.cc", "<cuda_runtime.h>").empty());
}

TEST_CASE("five hundred lines pass and one more does not") {
  const auto lines = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += "x\n";
    return text;
  };
  for (const char* path : {"base/a.cc", "kernels/a.cu", "scripts/a.py"}) {
    CHECK(form_problems({path, lines(500)}).empty());
    CHECK(form_problems({path, lines(501)}).size() == 1);
  }
  CHECK(form_problems({"docs/long.md", lines(5000)}).empty());
}

TEST_CASE("a header needs its pragma") {
  CHECK(form_problems({"base/a.h", "// doc\n#pragma once\n"}).empty());
  CHECK(form_problems({"base/a.h", "// #pragma once\n"}).size() == 1);
}

TEST_CASE("absolute paths of a machine are found and relative ones left alone") {
  for (const char* folder : {"home", "root", "work", "Users"}) {
    CHECK(machine_path_problems({"README.md", "see\nin /" + std::string(folder) + "/x/y\n"}).size() == 1);
    CHECK(machine_path_problems({"README.md", "see ../" + std::string(folder) + "/x/y\n"}).empty());
    CHECK(machine_path_problems({"README.md", "https://example.org/" + std::string(folder) + "/x\n"}).empty());
  }
}

TEST_CASE("a source that no list names is found") {
  const std::vector<ProjectFile> files{{"CMakeLists.txt", "add_subdirectory(a)"},
                                       {"a/CMakeLists.txt", "moesim_library(a\n  SOURCES one.cc deep/two.cc)"},
                                       {"a/one.cc", ""},
                                       {"a/deep/two.cc", ""},
                                       {"a/ne.cc", ""},
                                       {"b/one.cc", ""}};
  const std::vector<std::string> problems = unlisted_source_problems(files);
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].starts_with("a/ne.cc"));
  CHECK(problems[1].starts_with("b/one.cc"));
}

}  // namespace
}  // namespace moesim::tests
