#include "workloads/expert_counts.h"

#include <cstdlib>
#include <iostream>

#include <doctest/doctest.h>

#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"

namespace moesim::workloads {
namespace {

using tests::Contains;
using tests::input_error;
using tests::ScratchFolder;

TEST_CASE("counts are read from JSON, steps summed, layers without a count left out") {
  const ScratchFolder folder;
  const ExpertCounts two = read_expert_counts(folder.write("c.json", R"({"logical_count": [[1, 2, 3], [0, 0, 4]]})"));
  CHECK(two.layers == 2);
  CHECK(two.experts == 3);
  CHECK(two.counts == std::vector<double>{1, 2, 3, 0, 0, 4});
  CHECK(two.source == Contains("c.json (content "));
  const ExpertCounts steps = read_expert_counts(
      folder.write("w.json", R"({"weight": [[[0, 0], [1.5, 2]], [[0, 0], [1, 4]]], "note": "EPLB"})"));
  CHECK(steps.counts == std::vector<double>{2.5, 6});
  CHECK(steps.layers_dropped == std::vector<std::int32_t>{0});
  CHECK(steps.layers == 1);
}

TEST_CASE("counts that cannot be are refused with their place") {
  const ScratchFolder folder;
  const auto error_of = [&](const char* json) {
    return input_error([&] { read_expert_counts(folder.write("c.json", json)); });
  };
  CHECK(error_of(R"({"logical_count": [[1, 2], [3]]})") ==
        Contains("/logical_count/1: 1 experts, got [3]; expected 2"));
  CHECK(error_of(R"({"logical_count": [[1, -2]]})") == Contains("/logical_count/0/1"));
  CHECK(error_of(R"({"logical_count": [[0, 0]]})") == Contains("no count above 0"));
  CHECK(error_of(R"({"logical_count": []})") == Contains("no table of counts"));
  CHECK(error_of(R"({"logical_count": [["a"]]})") == Contains("not a number"));
  CHECK(error_of(R"({"counts": [[1]]})") == Contains("expected \"logical_count\" or \"weight\""));
  CHECK(error_of("[[1, 2]]") == Contains("not an object"));
  CHECK(input_error([&] { read_expert_counts("counts.csv"); }) == Contains("ending in .npy, .npz or .json"));
}

TEST_CASE("counts written by NumPy read right in every type and order") {
  const std::string python = "/usr/bin/python3";
  if (std::system((python + " -c 'import numpy' 2>/dev/null").c_str()) != 0) {
    std::cout << "skipped: needs " << python << " with NumPy (python3-numpy)\n";
    return;
  }
  const ScratchFolder folder;
  folder.write("make.py", R"(import sys
import numpy as np
counts = np.arange(2 * 3 * 4).reshape(2, 3, 4)  # [steps, layers, experts]
for kind in ["u1", "<i2", ">i4", "<i8", ">f4", "<f8"]:
    for order in "CF":
        name = f"{sys.argv[1]}/{kind[-2:]}_{order}"
        np.save(name + "_two.npy", np.asarray(counts.sum(axis=0).astype(kind), order=order))
        np.save(name + "_three.npy", np.asarray(counts.astype(kind), order=order))
np.savez_compressed(sys.argv[1] + "/packed_.npz", logical_count=np.asfortranarray(counts), other=np.zeros(2))
np.save(sys.argv[1] + "/negative.npy", np.array([[1, -1]]))
np.save(sys.argv[1] + "/nan.npy", np.array([[1, np.nan]]))
np.save(sys.argv[1] + "/flat.npy", np.arange(4))
)");
  REQUIRE(std::system((python + " " + folder.file("make.py") + " " + folder.path().string()).c_str()) == 0);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const std::string name = entry.path().filename().string();
    if (name.find('_') == std::string::npos) continue;
    CAPTURE(name);
    const ExpertCounts counts = read_expert_counts(entry.path().string());
    CHECK(counts.layers == 3);
    REQUIRE(counts.counts.size() == 12);
    for (std::size_t i = 0; i < 12; ++i) CHECK(counts.counts[i] == 2.0 * static_cast<double>(i) + 12);
    ++files;
  }
  CHECK(files == 6 * 2 * 2 + 1);
  const auto error_of = [&](const char* name) { return input_error([&] { read_expert_counts(folder.file(name)); }); };
  CHECK(error_of("negative.npy") == Contains("layer 0, expert 1: count -1"));
  CHECK(error_of("nan.npy") == Contains("layer 0, expert 1: count"));
  CHECK(error_of("flat.npy") == Contains("shape [4]; expected [layers, experts]"));
  CHECK(npy_dimensions(folder.file("i8_C_two.npy")) == 2);
  CHECK(npy_dimensions(folder.file("i8_C_three.npy")) == 3);
}

}  // namespace
}  // namespace moesim::workloads
