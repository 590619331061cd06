// Routing traces as JSON lines: one line is one layer of one forward pass, {"topk_ids": [[top_k ids] x tokens], ...};
// other keys are ignored. Lines of a pass follow each other, layer by layer.
#pragma once

#include <cstdint>
#include <string>

#include "workloads/trace.h"

namespace moesim::workloads {

// `layers` is how many lines make a pass; 0 infers the greatest common divisor of the lengths of runs of lines with
// equal token counts (a multiple of the layers if all passes that differ from their neighbours came in groups). Passes
// are joined along tokens (Trace::passes). Tokens of -1 throughout are padding and left out. Throws InputError naming
// the line for text that is no such object, ids outside 0 ... 65534, rows of unequal length, lines of one pass with
// unequal token counts, and a number of lines that `layers` does not divide; and as finish_trace says.
Trace read_jsonl_trace(const std::string& path, std::int32_t layers = 0);

}  // namespace moesim::workloads
