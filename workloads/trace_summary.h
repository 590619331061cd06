// Statistics of a trace in one pass over its tokens, in memory that does not depend on how many there are.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "workloads/trace.h"
#include "workloads/trace_statistics.h"

namespace moesim::workloads {

struct TraceSummary {
  std::string file;
  std::int64_t tokens = 0;                   // padding left out
  std::int64_t padding_dropped = 0;          // tokens
  std::vector<std::int32_t> layers_dropped;  // of the file, as in a Trace
  std::int32_t layers = 0;                   // with experts
  std::int32_t top_k = 0;
  std::int32_t experts = 0;                      // one more than the largest id
  std::vector<std::vector<std::int64_t>> loads;  // [layers][experts] exact
  std::vector<LayerStatistics> statistics;       // [layers] exact
  Trace sample;  // at most kSampleTokens tokens, evenly spaced: for fan-out and layer correlation
};
inline constexpr std::int64_t kSampleTokens = 2048;

// A .npy or .npz as a stream, of which the first block says which layers have experts; a .jsonl is held in memory.
// `experts`: of the model; 0 takes those seen. Throws InputError as the readers do.
TraceSummary summarize_trace(const std::string& path, std::int32_t layers = 0, std::int32_t experts = 0);

}  // namespace moesim::workloads
