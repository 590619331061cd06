// What a compute kernel costs and what of it is spent where.
#pragma once

#include <cmath>

#include "base/units.h"

namespace moesim::lowering {

struct KernelCost {
  base::Duration launch;  // start-up that no work hides: what zero work costs
  base::Duration tensor;  // time of the tensor cores alone
  base::Duration memory;  // time of HBM alone
  base::Duration total;   // of all together
};

// Kernels one after another, and a part of one's work behind its whole launch.
inline KernelCost operator+(const KernelCost& a, const KernelCost& b) {
  return {a.launch + b.launch, a.tensor + b.tensor, a.memory + b.memory, a.total + b.total};
}
inline KernelCost work_times(const KernelCost& cost, double share) {
  return {cost.launch, cost.tensor * share, cost.memory * share, cost.launch + (cost.total - cost.launch) * share};
}

// The smooth maximum (x^p + y^p)^(1/p) of two times: never below the larger, their sum for p = 1, the larger for
// p -> infinity.
inline double smooth_max(double x, double y, double p) {
  const double high = x > y ? x : y, low = x > y ? y : x;
  return high <= 0 ? 0 : high * std::pow(1 + std::pow(low / high, p), 1 / p);
}

}  // namespace moesim::lowering
