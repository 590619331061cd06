// The answer of a curve or a waterfall as a paragraph.
#pragma once

#include <string>

#include "results/curve.h"

namespace moesim::report {

std::string rate_words(double per_second);             // "3.48 k"
std::string number_words(double value);                // "20", "22.5"
std::string factor_words(double value);                // "4.28x"
std::string percent_words(double fraction);            // "42 %"
std::string ratio_words(const results::Ratio& ratio);  // "4.28x (80 % interval 3.60x to 5.02x)"

// What holds where, what binds on each side, how sure.
std::string words(const results::CurveComparison& curve);
// What part each factor has, and what binds on each side.
std::string words(const results::Waterfall& waterfall);

}  // namespace moesim::report
