#include "workloads/requests.h"

#include <cmath>

#include <doctest/doctest.h>

#include "tests/base/input_error.h"
#include "tests/reference_data.h"
#include "tests/workloads/inputs.h"

namespace moesim::workloads {
namespace {

using doctest::Approx;
using tests::Contains;
using tests::input_error;
using tests::ScratchFolder;

TEST_CASE("Azure and Mooncake request streams read in order of arrival, counted from the first") {
  const ScratchFolder folder;
  const auto azure = read_requests(folder.write("a.csv",
                                                "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                                                "2023-11-17 00:00:01.5000000,30,7\n2023-11-16 23:59:59.2500000,10,3"));
  REQUIRE(azure.size() == 2);
  CHECK(azure[0].arrival.value() == 0);
  CHECK(azure[0].input_tokens == 10);
  CHECK(azure[1].arrival.value() == Approx(2.25));
  CHECK(azure[1].output_tokens == 7);
  const auto mooncake = read_requests(
      folder.write("m.jsonl",
                   "{\"timestamp\": 500, \"input_length\": 6758, \"output_length\": 5, \"hash_ids\": [0]}\n\n"
                   "{\"timestamp\": 3500, \"input_length\": 1, \"output_length\": 9}\n"));
  REQUIRE(mooncake.size() == 2);
  CHECK(mooncake[0].input_tokens == 6758);
  CHECK(mooncake[1].arrival.value() == Approx(3));
}

TEST_CASE("damaged request streams are refused with their line") {
  const ScratchFolder folder;
  const std::string header = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  const auto error_of = [&](const char* name, const std::string& text) {
    return input_error([&] { read_requests(folder.write(name, text)); });
  };
  CHECK(error_of("a.csv", header + "2023-13-16 18:17:03.9,1,2") == Contains("line 2"));
  CHECK(error_of("a.csv", header + "2023-11-16 18:17:03.9,1") == Contains("not three columns"));
  CHECK(error_of("a.csv", header + "2023-11-16 18:17:03.9,1,-2") == Contains("\"-2\" is no number of tokens"));
  CHECK(error_of("a.csv", "time,in,out\n") == Contains("unknown columns"));
  CHECK(error_of("a.csv", "") == Contains("no requests"));
  CHECK(error_of("m.jsonl", "{\"timestamp\": 0}") == Contains("input_length"));
  CHECK(error_of("m.jsonl", "[1]") == Contains("line 1"));
  CHECK(error_of("m.txt", "") == Contains(".csv or .jsonl"));
}

TEST_CASE("the recorded request streams read whole") {
  const auto azure = tests::reference_data("traces/azure-llm-2023/AzureLLMInferenceTrace_code.csv");
  const auto mooncake = tests::reference_data("traces/mooncake-fast25/conversation_trace.jsonl");
  if (!azure || !mooncake) return;
  CHECK(read_requests(*azure).front().input_tokens == 4808);
  CHECK(read_requests(*mooncake).front().output_tokens == 500);
}

TEST_CASE("generated gaps and lengths have the mean and the variation that were asked for") {
  for (const double variation : {0.0, 0.5, 1.0, 2.0}) {
    CAPTURE(variation);
    const std::int64_t count = 40000;
    const auto requests = generate_requests(
        {.seed = 7, .requests_per_second = 4, .gap_variation = variation, .input = {1000, 0.5}, .output = {200, 0}},
        count);
    double square = 0, tokens = 0;
    for (std::size_t i = 1; i < requests.size(); ++i) {
      const double gap = 4 * (requests[i].arrival.value() - requests[i - 1].arrival.value()) - 1;
      square += gap * gap;
      tokens += static_cast<double>(requests[i].input_tokens);
      CHECK(requests[i].output_tokens == 200);
    }
    const double n = static_cast<double>(count - 1);
    CHECK(std::abs(requests.back().arrival.value() * 4 / n - 1) < 5 * variation / std::sqrt(n) + 1e-9);
    CHECK(std::sqrt(square / n) == Approx(variation).epsilon(0.05));
    CHECK(tokens / n == Approx(1000).epsilon(5 * 0.5 / std::sqrt(n)));
  }
}

}  // namespace
}  // namespace moesim::workloads
