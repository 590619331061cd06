// Curves and waterfalls as tables, charts of characters and a paragraph in words.
#pragma once

#include <string>

#include "results/curve.h"

namespace moesim::report {

std::string text(const results::CurveComparison& curve);
std::string text(const results::Waterfall& waterfall);

}  // namespace moesim::report
