#include "workloads/jsonl_trace.h"

#include <doctest/doctest.h>

#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"
#include "workloads/trace_file.h"

namespace moesim::workloads {
namespace {

using tests::Contains;
using tests::input_error;
using tests::ScratchFolder;

// A line of `tokens` tokens with experts (base, base + 1), (base + 1, base + 2), ...
std::string line(int tokens, int base) {
  std::string text = "{\"topk_weights\": [" + std::to_string(tokens) + ", 2], \"topk_ids\": [";
  for (int t = 0; t < tokens; ++t)
    text += (t > 0 ? ", [" : "[") + std::to_string(base + t) + ", " + std::to_string(base + t + 1) + "]";
  return text + "]}\n";
}

TEST_CASE("passes of a JSONL trace are joined along tokens, layer by layer") {
  const ScratchFolder folder;
  // Two layers; passes of 2, 3 and 3 tokens: runs of 2 and 4 equal counts.
  const std::string path =
      folder.write("t.jsonl", line(2, 0) + line(2, 10) + line(3, 20) + line(3, 30) + line(3, 40) + line(3, 50));
  const Trace trace = read_jsonl_trace(path);
  CHECK(trace.layers == 2);
  CHECK(trace.top_k == 2);
  CHECK(trace.tokens == 2 + 3 + 3);
  CHECK(trace.passes == std::vector<std::int64_t>{0, 2, 5, 8});
  const std::vector<std::uint16_t> first_layer = {0, 1, 1, 2, 20, 21, 21, 22, 22, 23, 40, 41, 41, 42, 42, 43};
  const auto layer = trace.layer(0).experts;
  CHECK(std::vector<std::uint16_t>(layer.begin(), layer.end()) == first_layer);
  CHECK(trace.layer(1).experts[0] == 10);
  CHECK(trace.layer(1).experts[std::size_t{2} * 5] == 50);

  CHECK(largest_pass(trace) == 1);
  const Trace pass = one_pass(trace, 1);
  CHECK(pass.tokens == 3);
  CHECK(pass.layers == 2);
  CHECK(pass.layer(1).experts[0] == 30);
  CHECK(pass.passes == std::vector<std::int64_t>{0, 3});
}

TEST_CASE("the number of layers of a JSONL trace can be given where it cannot be inferred") {
  const ScratchFolder folder;
  const std::string path = folder.write("t.jsonl", line(3, 0) + line(3, 1) + line(3, 2) + line(3, 3));
  CHECK(read_jsonl_trace(path).layers == 4);  // could as well be two passes of two layers
  const Trace trace = read_trace_file(path, {.layers = 2});
  CHECK(trace.layers == 2);
  CHECK(trace.tokens == 6);
  CHECK(input_error([&] { read_jsonl_trace(path, 3); }) == Contains("4 lines are not whole passes of 3 layers"));
  const std::string uneven = folder.write("u.jsonl", line(3, 0) + line(2, 0) + line(3, 0) + line(2, 0));
  CHECK(read_jsonl_trace(uneven).layers == 1);
  CHECK(input_error([&] { read_jsonl_trace(uneven, 2); }) ==
        Contains("line 2: 2 tokens in a pass of 2 layers; expected 3 as in line 1"));
}

TEST_CASE("blank lines and Windows line ends do not matter, empty passes and padding hold no tokens") {
  const ScratchFolder folder;
  const std::string empty = "{\"topk_ids\": []}\n";
  const std::string padded = "{\"topk_ids\": [[1, 2], [-1, -1]], \"note\": {\"topk_ids\": [\"ignored\"]}}\r\n";
  const Trace trace = read_jsonl_trace(
      folder.write("t.jsonl", empty + empty + "\n" + padded + "  \r\n" + padded + line(1, 5) + line(1, 6)));
  CHECK(trace.layers == 2);
  CHECK(trace.tokens == 2);
  CHECK(trace.padding_dropped == 1);
  CHECK(trace.passes == std::vector<std::int64_t>{0, 0, 1, 2});
}

TEST_CASE("bad lines of a JSONL trace are refused by number") {
  struct Bad {
    const char* text;
    const char* problem;
  };
  for (const Bad& bad :
       std::vector<Bad>{{"{\"topk_ids\": [[1, 2]", "line 2: not valid JSON at column"},
                        {"nonsense", "line 2: not valid JSON at column"},
                        {"{\"topk_ids\": [[1, 2]]} {}", "line 2: not valid JSON at column"},
                        {"[[1, 2]]", "line 2: not an object"},
                        {"3", "line 2: not an object"},
                        {"{}", "line 2: no key \"topk_ids\""},
                        {"{\"a\": {\"topk_ids\": [[1, 2]]}}", "line 2: no key \"topk_ids\""},
                        {"{\"topk_ids\": null}", "line 2: token 0: null in \"topk_ids\""},
                        {"{\"topk_ids\": [1, 2]}", "line 2: token 0: 1 in \"topk_ids\""},
                        {"{\"topk_ids\": [[1, 2], [[1], 2]]}", "line 2: \"topk_ids\" is nested too deeply"},
                        {"{\"topk_ids\": [[1, 2], {\"a\": 1}]}", "line 2: an object in \"topk_ids\""},
                        {"{\"topk_ids\": [[1, 2], [1, \"2\"]]}", "line 2: token 1: \"2\" in \"topk_ids\""},
                        {"{\"topk_ids\": [[1, 2.5]]}", "line 2: token 0: 2.5 in \"topk_ids\""},
                        {"{\"topk_ids\": [[1, 65535]]}", "line 2: token 0: expert id 65535 out of range"},
                        {"{\"topk_ids\": [[1, 18446744073709551615]]}", "expert id 18446744073709551615 out of range"},
                        {"{\"topk_ids\": [[1, -2]]}", "line 2: token 0: expert id -2 out of range"},
                        {"{\"topk_ids\": [[1, 2, 3]]}", "line 2: token 0: 3 ids; expected 2"},
                        {"{\"topk_ids\": [[1, 2], []]}", "line 2: token 1: 0 ids"},
                        {"{\"topk_ids\": [[1, 2]], \"topk_ids\": [[1, 2]]}", "line 2: duplicate key \"topk_ids\""},
                        {"{\"topk_ids\": [[4, 4]]}", "token 0, layer 1: expert 4 chosen twice"},
                        {"{\"topk_ids\": [[-1, 1]]}", "token 0, layer 1: expert id -1 (padding) in part of a token"}}) {
    CAPTURE(bad.text);
    const ScratchFolder folder;
    const std::string path = folder.write("t.jsonl", line(1, 0) + bad.text + "\n");
    CHECK(input_error([&] { read_jsonl_trace(path); }) == Contains(bad.problem));
  }
  const ScratchFolder folder;
  CHECK(input_error([&] { read_jsonl_trace(folder.write("e.jsonl", "\n\n")); }) == Contains("no lines"));
  CHECK(input_error([&] { read_jsonl_trace(folder.write("e.jsonl", "{\"topk_ids\": []}\n")); }) ==
        Contains("without tokens"));
}

TEST_CASE("trace files are told apart by their names") {
  const ScratchFolder folder;
  CHECK(input_error([&] { read_trace_file(folder.write("t.csv", "")); }) == Contains(".npy, .npz or .jsonl"));
  CHECK(input_error([&] { read_trace_file(folder.file("absent.npy")); }) == Contains("absent.npy: cannot be read"));
}

}  // namespace
}  // namespace moesim::workloads
