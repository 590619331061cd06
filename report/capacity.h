// How many GPUs serve a load, as an answer, a table and reasons.
#pragma once

#include <string>

#include "results/capacity.h"

namespace moesim::report {

std::string text(const results::Capacity& capacity);

}  // namespace moesim::report
