#include "workloads/trace_file.h"

#include "base/error.h"
#include "workloads/jsonl_trace.h"
#include "workloads/npy.h"

namespace moesim::workloads {

Trace read_trace_file(const std::string& path, const TraceOptions& options) {
  if (path.ends_with(".jsonl")) return read_jsonl_trace(path, options.layers);
  if (!path.ends_with(".npy"))
    throw base::InputError(path, "", "unknown kind of trace", "a name ending in .npy or .jsonl");
  Trace trace = read_npy(path);
  if (options.layers != 0 && options.layers != trace.layers)
    throw base::InputError(
        path, "",
        std::to_string(trace.layers) + " layers in the file, " + std::to_string(options.layers) + " asked for");
  return trace;
}

}  // namespace moesim::workloads
