// The page docs/accuracy.md: what was fitted, what was held out, and how far off each is.
#pragma once

#include <iosfwd>
#include <string>

namespace moesim::cli {

// Fits all tables below `tables` with their hold-outs and writes the page, and a plot of the residuals of every
// hold-out that misses its goal into the folder `accuracy` beside it. Throws InputError.
void write_accuracy(const std::string& tables, const std::string& markdown, std::ostream& out);

}  // namespace moesim::cli
