// scripts/convert-sglang-trace on dumps as SGLang's recorder writes them, with torch.save.
#include <cstdlib>
#include <iostream>

#include <doctest/doctest.h>

#include "tests/workloads/inputs.h"
#include "workloads/expert_counts.h"
#include "workloads/npy.h"
#include "workloads/trace_file.h"

namespace moesim::workloads {
namespace {

using tests::ScratchFolder;

constexpr const char* kPython = "/usr/bin/python3";

// 4 layers, the first dense; 10 physical experts, the last two of them copies of 4 and 5; top-4 in the recorder's eight
// columns. Layer l of token t chooses physical experts base + 3 t + l + 0 ... 3, mod 10.
constexpr const char* kMake = R"(import sys
import torch
folder, layers, tokens, experts = sys.argv[1], 4, 6, 10
def record(forward_pass, rank, base):
    ids = torch.full((layers, tokens, 8), -1, dtype=torch.int32)
    for l in range(1, layers):
        for t in range(tokens):
            ids[l, t, :4] = (base + 3 * t + l + torch.arange(4)) % experts
    return dict(forward_pass_id=forward_pass, rank=rank, gatherer_key="primary", input_ids=list(range(tokens)),
                positions=list(range(tokens)), extend_seq_lens=[tokens], forward_mode=1, topk_ids_of_layer=ids,
                misc_objects=[], global_physical_count=torch.zeros((layers, experts), dtype=torch.int32))
places = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 4, 5]] * layers)
torch.save(dict(records=[record(1, 0, 0), record(0, 0, 2)], last_physical_to_logical_map=places), folder + "/d_0.pt")
torch.save(dict(records=[record(0, 1, 4)], last_physical_to_logical_map=places), folder + "/d_1.pt")
counts = torch.zeros((3, layers, experts), dtype=torch.int32)
counts[:, 1:] = torch.arange(experts)
torch.save(dict(rank=0, logical_count=counts, average_utilization_rate_over_window=None), folder + "/stat.pt")
open(folder + "/text.pt", "w").write("hello")
)";

TEST_CASE("dumps of SGLang's recorder become traces and counts") {
  if (std::system((std::string(kPython) + " -c 'import numpy, torch' 2>/dev/null").c_str()) != 0) {
    std::cout << "skipped: needs " << kPython << " with NumPy and PyTorch (python3-torch)\n";
    return;
  }
  const ScratchFolder folder;
  const auto python = [&](const std::string& arguments) {
    return std::system((std::string(kPython) + " " + arguments + " >" + folder.file("log") + " 2>&1").c_str());
  };
  const auto convert = [&](const std::string& arguments) {
    return python("scripts/convert-sglang-trace " + arguments);
  };
  REQUIRE(python(folder.write("make.py", kMake) + " " + folder.path().string()) == 0);

  REQUIRE(convert(folder.file("d_0.pt") + " " + folder.file("d_1.pt") + " -o " + folder.file("t.npy")) == 0);
  const Trace trace = read_npy(folder.file("t.npy"));
  CHECK(trace.tokens == 3 * 6);
  CHECK(trace.layers == 3);
  CHECK(trace.top_k == 4);
  // Passes by id, then rank; physical 8 and 9 are logical 4 and 5.
  const int bases[] = {2, 4, 0};
  for (std::int32_t layer = 0; layer < 3; ++layer) {
    for (std::int64_t t = 0; t < 18; ++t) {
      for (std::size_t i = 0; i < 4; ++i) {
        const std::int64_t physical = (bases[t / 6] + 3 * (t % 6) + layer + 1 + static_cast<std::int64_t>(i)) % 10;
        CHECK(trace.layer(layer).slice(t, 1).experts[i] == (physical < 8 ? physical : physical - 4));
      }
    }
  }
  CHECK(experts_told(folder.file("t.npy")) == 8);

  REQUIRE(convert(folder.file("stat.pt") + " -o " + folder.file("c.npy")) == 0);
  const ExpertCounts counts = read_expert_counts(folder.file("c.npy"));
  CHECK(counts.layers == 3);
  CHECK(counts.layer(2)[7] == 3 * 7);

  CHECK(convert(folder.file("text.pt") + " -o " + folder.file("x.npy")) != 0);
  CHECK(base::read_file(folder.file("log")).find("text.pt: not a dump that PyTorch can read") != std::string::npos);
  CHECK(convert(folder.file("d_0.pt") + " -o " + folder.file("x.txt")) != 0);
}

}  // namespace
}  // namespace moesim::workloads
