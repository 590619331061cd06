#include "workloads/trace_file.h"

#include <filesystem>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "workloads/jsonl_trace.h"
#include "workloads/npy.h"

namespace moesim::workloads {

Trace read_trace_file(const std::string& path, const TraceOptions& options) {
  if (path.ends_with(".jsonl")) return read_jsonl_trace(path, options.layers);
  if (!path.ends_with(".npy") && !path.ends_with(".npz"))
    throw base::InputError(path, "", "unknown kind of trace", "a name ending in .npy, .npz or .jsonl");
  Trace trace = read_npy(path);
  if (options.layers != 0 && options.layers != trace.layers)
    throw base::InputError(
        path, "",
        std::to_string(trace.layers) + " layers in the file, " + std::to_string(options.layers) + " asked for");
  return trace;
}

std::string side_file(const std::string& path) { return path + ".json"; }

void write_trace(const Trace& trace, const std::string& path, const std::string& model, const base::Json& more) {
  base::Json side = {{"schema", "moesim.trace/1"},
                     {"source", trace.source},
                     {"tokens", trace.tokens},
                     {"layers", trace.layers},
                     {"top_k", trace.top_k}};
  if (!model.empty()) side["model"] = model;
  if (trace.experts > 0) side["experts"] = trace.experts;
  if (!trace.layers_dropped.empty()) side["layers_without_experts"] = trace.layers_dropped;
  side.update(more);
  write_npy(trace, path);
  base::write_file(side_file(path), side.dump(2) + "\n");
}

std::int32_t experts_told(const std::string& path) {
  const std::string side = side_file(path);
  std::error_code error;
  if (!std::filesystem::is_regular_file(side, error)) return 0;
  const base::JsonDocument document = base::load_json(side);
  const base::JsonNode root(document);
  if (!root.json().is_object() || !root.json().contains("experts")) return 0;
  return static_cast<std::int32_t>(root.member("experts").integer(1, kMaxExpertId + 1));
}

}  // namespace moesim::workloads
