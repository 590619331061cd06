// Streams of requests: recorded or generated. Each asks for `input` tokens of prefill, then `output` tokens of decode.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"

namespace moesim::workloads {

struct Request {
  base::Duration arrival;  // after the first of the stream; not decreasing
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
};

// A .csv with the header TIMESTAMP,ContextTokens,GeneratedTokens (Azure LLM inference 2023; times of one day or of
// several, "2023-11-16 18:17:03.9799600") or a .jsonl with "timestamp" (ms), "input_length" and "output_length"
// (Mooncake). Sorted by arrival. Throws InputError with the line for anything else.
std::vector<Request> read_requests(const std::string& path);

// Tokens of a request: log-normal with this mean and coefficient of variation (0: always the mean), rounded and
// clamped to [1, longest].
struct LengthLaw {
  double mean = 1;
  double variation = 0;
  std::int64_t longest = 1 << 20;
};

// Gaps between arrivals are gamma distributed with mean 1 / rate and this coefficient of variation: 1 is a Poisson
// process, above 1 bursts, 0 a metronome.
struct RequestLaw {
  std::uint64_t seed = 0;
  double requests_per_second = 1;
  double gap_variation = 1;
  LengthLaw input;
  LengthLaw output;
};
std::vector<Request> generate_requests(const RequestLaw& law, std::int64_t count);

}  // namespace moesim::workloads
