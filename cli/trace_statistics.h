// What `moesim trace` is told, and what its `stats` prints.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace moesim::cli {

struct TraceOptions {
  std::string file, output;
  int layers = 0, experts = 0;  // 0: not said
  std::string model;
  std::string preset, counts;
  double power_law = 0;
  std::vector<std::string> sets;
  std::int64_t tokens = 4096;
  std::uint64_t seed = 1;
  std::vector<int> ranks;  // EP degrees; none: powers of 2
};

// Of the file, a trace or expert counts.
void print_statistics(const TraceOptions& options, std::ostream& out);
// "; 3 tokens of padding left out; layers 0 to 2 of the file have no experts"; empty without either.
std::string notes_text(std::int64_t padding_dropped, const std::vector<std::int32_t>& layers_dropped);

}  // namespace moesim::cli
