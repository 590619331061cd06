// Routing traces as NumPy arrays (.npy), shape [tokens, moe_layers, top_k], as vLLM and SGLang return `routed_experts`.
// Format: numpy.lib.format, versions 1 to 3.
#pragma once

#include <string>
#include <string_view>

#include "workloads/trace.h"

namespace moesim::workloads {

// Reads int8 ... int64 and uint8 ... uint64, little or big endian, C or Fortran order. Tokens that are -1 in all layers
// are padding and left out (Trace::padding_dropped). Throws InputError for truncated files and trailing bytes, for
// other types (floating point, pickled objects), other shapes, ids outside 0 ... 65534, and as finish_trace says.
// Memory is bounded by the size of the file, whatever its header claims.
Trace read_npy(const std::string& path);
// The same of the content of a file; `path` names it in errors.
Trace parse_npy(std::string_view content, const std::string& path);

// int16 (uint16 if an id needs it), little endian, C order, whole or not at all. Passes are not kept: they become one.
void write_npy(const Trace& trace, const std::string& path);

}  // namespace moesim::workloads
