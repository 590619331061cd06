// Recorded traces, whatever their format.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "workloads/trace.h"

namespace moesim::workloads {

struct TraceOptions {
  std::int32_t layers = 0;  // MoE layers; 0: as the file says (.npy, .npz) or inferred (.jsonl)
};

// Reads .npy and .npz (workloads/npy.h) or .jsonl (workloads/jsonl_trace.h). Throws InputError for another extension,
// and where the file contradicts the options.
Trace read_trace_file(const std::string& path, const TraceOptions& options = {});

// Writes the trace as `path` (workloads/npy.h) and, beside it, side_file(path) with what the array does not say:
// {"schema": "moesim.trace/1", "model", "source", "tokens", "layers", "top_k", "experts", and what `more` holds}.
// `model` may be empty; experts of 0 are left out.
void write_trace(const Trace& trace, const std::string& path, const std::string& model, const base::Json& more);
std::string side_file(const std::string& path);  // "trace.npy" -> "trace.npy.json"
// The number of experts that the side file of a trace tells; 0 without one. Throws InputError for a damaged one.
std::int32_t experts_told(const std::string& path);

}  // namespace moesim::workloads
