// Where tests find reference data that is not part of the project (real traces, measurements).
#pragma once

#include <optional>
#include <string>

namespace moesim::tests {

// The path of a file or folder below $MOESIM_REFERENCE_DATA (default ../shared, from the project's root). When it is
// absent: prints that the running test case is skipped, counts it, and returns nothing.
//
//   const auto path = reference_data("traces/x.jsonl");
//   if (!path) return;
std::optional<std::string> reference_data(const std::string& relative);

}  // namespace moesim::tests
