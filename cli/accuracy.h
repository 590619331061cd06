// The page docs/accuracy.md: what was fitted, what was held out, and how far off each is.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "validation/calibrate.h"

namespace moesim::cli {

// Writes the page of fits with their hold-outs (validation::fit_all), and a plot of the residuals of every hold-out
// that misses its goal into the folder `accuracy` beside it. Throws InputError.
void write_accuracy(const std::vector<validation::KernelResult>& results, const std::string& markdown,
                    std::ostream& out);

}  // namespace moesim::cli
