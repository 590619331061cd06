// Variants of a scenario, as `compare --kernels` and `--vary` name them.
#pragma once

#include <string>
#include <vector>

namespace moesim::cli {

// One more scenario for each: its name, and what it changes.
struct Variant {
  std::string name;
  std::vector<std::string> sets;
  bool may_be_refused = false;  // a kernel that cannot run on the cluster is reported, not an error
};

std::vector<std::string> split(const std::string& text);  // at commas

// All combinations. `kernels`: comma-separated, "all" or empty; each of `vary`: "path=value,value,...". Throws
// InputError.
std::vector<Variant> variants_of(const std::string& kernels, const std::vector<std::string>& vary);

}  // namespace moesim::cli
