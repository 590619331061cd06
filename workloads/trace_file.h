// Recorded traces, whatever their format.
#pragma once

#include <cstdint>
#include <string>

#include "workloads/trace.h"

namespace moesim::workloads {

struct TraceOptions {
  std::int32_t layers = 0;  // MoE layers; 0: as the file says (.npy) or inferred (.jsonl)
};

// Reads .npy (workloads/npy.h) or .jsonl (workloads/jsonl_trace.h). Throws InputError for another extension, and where
// the file contradicts the options.
Trace read_trace_file(const std::string& path, const TraceOptions& options = {});

}  // namespace moesim::workloads
