// Results in words and tables: the answer first, then why, then how sure, then where the details are.
#pragma once

#include <string>

#include "results/comparison.h"
#include "results/result.h"

namespace moesim::report {

std::string text(const results::Result& result);
std::string text(const results::Comparison& comparison);

}  // namespace moesim::report
