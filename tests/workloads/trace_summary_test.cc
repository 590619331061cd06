#include "workloads/trace_summary.h"

#include <doctest/doctest.h>

#include "base/random.h"
#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"
#include "workloads/npy.h"
#include "workloads/npy_stream.h"

namespace moesim::workloads {
namespace {

using doctest::Approx;
using tests::Contains;
using tests::input_error;
using tests::made_up_trace;
using tests::ScratchFolder;

TEST_CASE("a trace that is streamed has the statistics of the trace in memory") {
  const ScratchFolder folder;
  // More than one block of 2^21 ids, and experts that first appear late.
  Trace trace = made_up_trace(70000, 4, 8, 300);
  trace.ids[std::size_t{8} * 69000] = 1000;
  write_npy(trace, folder.file("t.npy"));
  const TraceSummary summary = summarize_trace(folder.file("t.npy"));
  CHECK(summary.tokens == 70000);
  CHECK(summary.experts == 1001);
  const auto expected = trace_statistics(trace, 1001);
  for (std::int32_t layer = 0; layer < 4; ++layer) {
    const auto l = static_cast<std::size_t>(layer);
    CHECK(summary.loads[l] == expert_loads(trace.layer(layer), 1001));
    CHECK(summary.statistics[l].max_over_mean == expected[l].max_over_mean);
    CHECK(summary.statistics[l].zipf_exponent == expected[l].zipf_exponent);
    CHECK(summary.statistics[l].top_tenth_share == expected[l].top_tenth_share);
    CHECK(summary.statistics[l].adjacent_share == expected[l].adjacent_share);
  }
  CHECK(summary.sample.tokens == 70000 / 35);  // one token in ceil(70000 / 2048)
  const auto first = summary.sample.layer(2).slice(3, 1).experts,
             same = trace.layer(2).slice(std::int64_t{3} * 35, 1).experts;
  CHECK(std::vector(first.begin(), first.end()) == std::vector(same.begin(), same.end()));
}

TEST_CASE("streaming refuses what reading whole refuses") {
  const ScratchFolder folder;
  Trace trace = made_up_trace(4, 3, 2, 50);
  trace.ids[std::size_t{6} * 2 + 1] = trace.ids[std::size_t{6} * 2];  // layer 1 of 4 tokens, token 2
  write_npy(trace, folder.file("t.npy"));
  CHECK(input_error([&] { summarize_trace(folder.file("t.npy")); }) == Contains("token 2, layer 1"));
  CHECK(input_error([&] { summarize_trace(folder.file("t.npy"), 5); }) == Contains("3 layers in the file, 5"));
  const std::string content = base::read_file(folder.file("t.npy"));
  const std::string cut = folder.write("cut.npy", content.substr(0, content.size() - 1));
  CHECK(input_error([&] { NpyStream stream(cut); }) == Contains("truncated file"));
  std::string long_header = content;
  long_header[6] = 2;
  CHECK(input_error([&] { NpyStream stream(folder.write("h.npy", long_header)); }) == Contains("header"));
  const std::string empty = folder.write("empty.npy", "");
  CHECK(input_error([&] { NpyStream stream(empty); }) == Contains("not a .npy file"));
}

TEST_CASE("a layer that copies the one before it is foretold in full, an independent one by popularity alone") {
  Trace trace = made_up_trace(2000, 1, 4, 64);
  for (std::size_t i = 0; i < trace.ids.size(); ++i)  // tokens 2 n and 2 n + 1 choose block n mod 16
    trace.ids[i] = static_cast<std::uint16_t>((i / 8 % 16) * 4 + i % 4);
  trace.layers = 2;
  trace.ids.insert(trace.ids.end(), trace.ids.begin(), trace.ids.end());
  CHECK(layer_correlation(trace, 64).from_layer_before == 1);
  CHECK(layer_correlation(trace, 64).from_popularity == Approx(4.0 / 64).epsilon(0.2));
  base::RandomStream stream(1, "independent");
  for (std::size_t token = 0; token < 2000; ++token) {
    const auto first = stream.below(64);
    for (std::size_t i = 0; i < 4; ++i)
      trace.ids[(2000 + token) * 4 + i] = static_cast<std::uint16_t>((first + i * 16) % 64);
  }
  CHECK(layer_correlation(trace, 64).from_layer_before < 0.25);
}

}  // namespace
}  // namespace moesim::workloads
