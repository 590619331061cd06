// Routing traces as NumPy arrays (.npy, or in a .npz), shape [tokens, moe_layers, top_k], as vLLM and SGLang return
// `routed_experts`. Format: numpy.lib.format, versions 1 to 3.
#pragma once

#include <string>

#include "workloads/trace.h"

namespace moesim::workloads {

// Reads int8 ... int64 and uint8 ... uint64, little or big endian, C or Fortran order; of a .npz its only array, or the
// one named routed_experts or topk_ids. finish_trace (workloads/trace.h) then drops padding and layers without experts.
// Throws InputError for truncated files and trailing bytes, for other types (floating point, pickled objects), other
// shapes, ids outside -1 ... 65534, and as finish_trace says. Memory is bounded by the size of the data, whatever a
// header claims.
Trace read_npy(const std::string& path);

// int16 (uint16 if an id needs it), little endian, C order, whole or not at all. Passes are not kept: they become one.
void write_npy(const Trace& trace, const std::string& path);

}  // namespace moesim::workloads
