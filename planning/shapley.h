// How much each of several factors adds to a whole (Shapley value): the mean, over all orders in which factors could be
// switched on one after another, of what a factor adds when its turn comes. Parts add up to the whole, and no order is
// preferred.
//
//   part_i = sum over subsets S without i of |S|! (n - |S| - 1)! / n! (value(S + i) - value(S))
//
// or, where 2^n values are too many, the mean over drawn orders: parts still add up exactly, because they do in every
// order. Orders are drawn as circles: all n rotations of one order, in both directions. Each factor then has each turn
// twice, and as the subsets on the way are arcs of the circle, 2n orders need but n (n - 1) + 2 values.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace moesim::planning {

using Subset = std::uint32_t;  // bit i: factor i is on
inline constexpr int kMaxFactors = 20;

using Orders = std::vector<std::vector<int>>;  // each a permutation of 0 ... n-1
// 2n orders for each circle.
Orders draw_orders(int factors, int circles, std::uint64_t seed);
// The subsets whose values shapley() asks for, ascending; no orders: all 2^n.
std::vector<Subset> subsets_needed(int factors, const Orders& orders);

struct Shapley {
  std::vector<double> parts;  // [factors]
  // [factors] standard error as of independent orders, which those of a circle beat; 0 of the exact sum
  std::vector<double> error;
  double whole = 0;  // value(all) - value(none)
};
// No orders: the exact sum. `value` is asked often and for the same subsets: it should remember.
Shapley shapley(int factors, const Orders& orders, const std::function<double(Subset)>& value);

}  // namespace moesim::planning
