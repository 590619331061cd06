#include "workloads/routing_source.h"

#include <doctest/doctest.h>

#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"
#include "workloads/balanced.h"
#include "workloads/generator.h"
#include "workloads/npy.h"

namespace moesim::workloads {
namespace {

using tests::Contains;
using tests::input_error;
using tests::JsonText;
using tests::made_up_trace;
using tests::model_of;
using tests::ScratchFolder;

// 4 MoE layers, top-2 of 8.
Model small_model() {
  return model_of(R"({"preset": "qwen3-30b-a3b", "name": "small", "layers": 5, "dense_layers": 1, "experts": 8,
                      "top_k": 2})");
}

Trace routed(const std::string& json, const RoutingRequest& request, const std::string& scenario = "test.json") {
  std::vector<std::string> warnings;
  return read_routing(JsonText(json, scenario).node, request, warnings);
}

TEST_CASE("balanced and generated routing come with exactly the tokens asked for") {
  const Model model = small_model();
  const RoutingRequest request{&model, 2, 5, 4};
  const Trace balanced = routed(R"({"preset": "balanced"})", request);
  CHECK(balanced.tokens == 20);
  CHECK(balanced.layers == 1);
  CHECK(balanced.experts == 8);
  CHECK(balanced.ids == balanced_routing({8, 2, 4, 5}));
  CHECK(balanced.source == "balanced");

  std::vector<std::string> warnings;
  const std::string generate = R"({"preset": "qwen3-30b-a3b", "seed": 4, "zipf_exponent": 2})";
  const Trace generated = routed("{\"generate\": " + generate + "}", request);
  CHECK(generated.ids == generate_layer(read_generator(JsonText(generate).node, model, warnings), model, 2, 20));
  CHECK(generated.source == Contains("\"seed\":4"));
  CHECK(generated.source == Contains("\"zipf_exponent\":2"));
}

TEST_CASE("a trace is found beside the scenario and cut to its first tokens") {
  const Model model = small_model();
  const ScratchFolder folder;
  const Trace trace = made_up_trace(23, 4, 2, 8);
  std::filesystem::create_directory(folder.path() / "traces");
  write_npy(trace, folder.file("traces/t.npy"));
  const std::string scenario = folder.file("scenario.json");
  const Trace layer = routed(R"({"trace": "traces/t.npy"})", {&model, 3, 5, 4}, scenario);
  CHECK(layer.tokens == 20);
  const auto expected = trace.layer(3).slice(0, 20).experts;
  CHECK(layer.ids == std::vector<std::uint16_t>(expected.begin(), expected.end()));
  CHECK(layer.source == Contains("t.npy (content "));
  // An absolute path stays what it is.
  CHECK(routed("{\"trace\": \"" + folder.file("traces/t.npy") + "\"}", {&model, 3, 5, 4}).ids == layer.ids);
}

TEST_CASE("a trace of several passes can be narrowed to one") {
  const Model model = small_model();
  const ScratchFolder folder;
  std::string lines;
  for (const char* ids : {"[[0, 1]]", "[[2, 3], [4, 5]]"})
    for (int layer = 0; layer < 4; ++layer) lines += std::string("{\"topk_ids\": ") + ids + "}\n";
  folder.write("t.jsonl", lines);
  const std::string scenario = folder.file("scenario.json");
  using Ids = std::vector<std::uint16_t>;
  CHECK(routed(R"({"trace": "t.jsonl", "layers": 4})", {&model, 1, 3, 1}, scenario).ids == Ids{0, 1, 2, 3, 4, 5});
  CHECK(routed(R"({"trace": "t.jsonl", "pass": 0})", {&model, 1, 1, 1}, scenario).ids == Ids{0, 1});
  CHECK(routed(R"({"trace": "t.jsonl", "pass": "largest"})", {&model, 1, 1, 2}, scenario).ids == Ids{2, 3, 4, 5});
  CHECK(input_error([&] {
          routed(R"({"trace": "t.jsonl", "pass": 2})", {&model, 1, 1, 1}, scenario);
        }) == Contains("/pass: out of range"));
}

TEST_CASE("a recording is read once for all layers, and its padding is reported") {
  const Model model = small_model();
  const ScratchFolder folder;
  std::string lines;
  for (int layer = 0; layer < 4; ++layer) lines += "{\"topk_ids\": [[" + std::to_string(layer) + ", 7], [-1, -1]]}\n";
  folder.write("t.jsonl", lines);
  std::vector<std::string> warnings;
  const JsonText text(R"({"trace": "t.jsonl"})", folder.file("scenario.json"));
  const RoutingSource source(text.node, model, warnings);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == Contains("/trace: 1 padding tokens"));
  std::filesystem::remove(folder.file("t.jsonl"));
  for (std::int32_t layer = 0; layer < 4; ++layer) CHECK(source.layer(layer, 1, 1).ids.front() == layer);
}

TEST_CASE("a trace that is too short says how many tokens would do") {
  const Model model = small_model();
  const ScratchFolder folder;
  write_npy(made_up_trace(23, 4, 2, 8), folder.file("t.npy"));
  const std::string error = input_error([&] {
    routed(R"({"trace": "t.npy"})", {&model, 0, 6, 4}, folder.file("s.json"));
  });
  CHECK(error == Contains("s.json: /trace: the trace has 23 tokens, 24 are needed (6 on each of 4 GPUs)"));
  CHECK(error == Contains("expected tokens_per_gpu of at most 5"));
  CHECK(input_error([&] {
          routed(R"({"trace": "t.npy"})", {&model, 0, 1, 24}, folder.file("s.json"));
        }) == Contains("a longer trace or fewer GPUs"));
}

TEST_CASE("a recording is extended by whole passes, the same ones in every layer") {
  const Model model = small_model();
  const ScratchFolder folder;
  // Three forward passes of 2, 3 and 1 tokens; the experts of token t in layer l are t and t + 1 + l (mod 8).
  std::string lines;
  const std::vector<std::vector<int>> passes{{0, 1}, {2, 3, 4}, {5}};
  for (const std::vector<int>& pass : passes) {
    for (int layer = 0; layer < 4; ++layer) {
      std::string ids;
      for (const int token : pass)
        ids +=
            (ids.empty() ? "[" : ", [") + std::to_string(token) + ", " + std::to_string((token + 1 + layer) % 8) + "]";
      lines += "{\"topk_ids\": [" + ids + "]}\n";
    }
  }
  const std::string file = folder.write("trace.jsonl", lines);
  const auto with = [&](const std::string& more, std::int32_t layer) {
    return routed("{\"trace\": \"" + file + "\", \"layers\": 4" + more + "}", {&model, layer, 10, 2});
  };
  CHECK(input_error([&] { with("", 0); }) == Contains("\"extend\": \"resample\""));
  const Trace first = with(R"(, "extend": "resample")", 0), third = with(R"(, "extend": "resample")", 2);
  REQUIRE(first.tokens == 20);
  for (std::size_t token = 0; token < 20; ++token) {
    CHECK(first.ids[2 * token] == third.ids[2 * token]);  // the same tokens in both layers
    if (token < 6) CHECK(first.ids[2 * token] == token);  // the recording's own come first
  }
  // Whole passes follow: each starts with the first token of one and runs to its end.
  for (std::size_t token = 6; token < 20;) {
    const std::uint16_t begin = first.ids[2 * token];
    REQUIRE((begin == 0 || begin == 2 || begin == 5));
    const std::size_t length = begin == 0 ? 2 : begin == 2 ? 3 : 1;
    for (std::size_t i = 0; i < length && token < 20; ++i, ++token) CHECK(first.ids[2 * token] == begin + i);
  }
  CHECK(with(R"(, "extend": "resample", "seed": 2)", 0).ids != first.ids);
  CHECK(with(R"(, "extend": "resample", "seed": 1)", 0).ids == first.ids);
  CHECK(with(R"(, "extend": "resample")", 0).source == Contains("seed 1"));
  CHECK(input_error([&] { with(R"(, "seed": 2)", 0); }) == Contains("/seed"));
  CHECK(input_error([&] { with(R"(, "extend": "repeat")", 0); }) == Contains("resample"));
}

TEST_CASE("a trace that is not the model's is refused, naming both") {
  const Model model = small_model();
  const ScratchFolder folder;
  const auto error_of = [&](const Trace& trace, const std::string& more = "") {
    write_npy(trace, folder.file("t.npy"));
    return input_error([&] { routed("{\"trace\": \"t.npy\"" + more + "}", {&model, 0, 1, 1}, folder.file("s.json")); });
  };
  CHECK(error_of(made_up_trace(9, 5, 2, 8)) == Contains("the trace has 5 MoE layers; the model small has 4"));
  CHECK(error_of(made_up_trace(9, 4, 3, 8)) == Contains("the trace has top-3; the model small has top-2"));
  CHECK(error_of(made_up_trace(9, 4, 2, 9)) == Contains("the trace has expert id 8 (token "));
  CHECK(error_of(made_up_trace(9, 4, 2, 9)) == Contains("; the model small has 8 experts"));
  CHECK(error_of(made_up_trace(9, 4, 2, 8), R"(, "layers": 2)") == Contains("4 layers in the file, 2 asked for"));
}

TEST_CASE("routing sections that say nothing or too much are refused") {
  const Model model = small_model();
  struct Bad {
    const char* json;
    const char* problem;
  };
  for (const Bad& bad :
       std::vector<Bad>{{"{}", "one of \"preset\", \"generate\", \"trace\", \"counts\" and"},
                        {R"({"preset": "balanced", "trace": "t.npy"})",
                         "one of \"preset\", \"generate\", \"trace\", \"counts\" and"},
                        {R"({"preset": "uniform"})", "/preset: unknown routing preset"},
                        {R"({"preset": "balanced", "layers": 4})", "/layers: only a \"trace\" has this"},
                        {R"({"preset": "balanced", "seed": 4})", "/seed: only \"counts\" and what is extended"},
                        {R"({"trace": "absent.npy"})", "absent.npy: cannot be read"},
                        {R"({"trace": 3})", "/trace: not a text"},
                        {R"("balanced")", "not an object"}}) {
    CAPTURE(bad.json);
    CHECK(input_error([&] { routed(bad.json, {&model, 0, 1, 1}); }) == Contains(bad.problem));
  }
}

}  // namespace
}  // namespace moesim::workloads
