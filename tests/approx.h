// Comparisons with a relative tolerance. doctest's own adds 1 to the size of what it compares, so that of two times in
// seconds all are alike.
#pragma once

#include <doctest/doctest.h>

namespace moesim::tests {

// Equal within a share of the larger value (default: doctest's, 1.2e-5); only 0 equals 0.
struct Approx : doctest::Approx {
  explicit Approx(double expected) : doctest::Approx(expected) { scale(1e-290); }
};

}  // namespace moesim::tests
