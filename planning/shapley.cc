#include "planning/shapley.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/random.h"

namespace moesim::planning {
namespace {

Shapley exact(int factors, const std::function<double(Subset)>& value) {
  Shapley result;
  result.parts.assign(static_cast<std::size_t>(factors), 0);
  result.error = result.parts;
  std::vector<double> weight(static_cast<std::size_t>(factors));  // [size of S]
  for (int size = 0; size < factors; ++size)
    weight[static_cast<std::size_t>(size)] =
        std::exp(std::lgamma(size + 1) + std::lgamma(factors - size) - std::lgamma(factors + 1));
  for (Subset set = 0; set < Subset{1} << factors; ++set) {
    const double without = value(set);
    for (int i = 0; i < factors; ++i) {
      if ((set >> i & 1) != 0) continue;
      result.parts[static_cast<std::size_t>(i)] +=
          weight[static_cast<std::size_t>(std::popcount(set))] * (value(set | Subset{1} << i) - without);
    }
  }
  return result;
}

Shapley sampled(int factors, const Orders& orders, const std::function<double(Subset)>& value) {
  const auto n = static_cast<std::size_t>(factors);
  const auto count = static_cast<double>(orders.size());
  std::vector<double> sum(n), squares(n);
  for (const auto& order : orders) {
    Subset set = 0;
    double before = value(0);
    for (const int i : order) {
      set |= Subset{1} << i;
      const double after = value(set), step = after - before;
      sum[static_cast<std::size_t>(i)] += step;
      squares[static_cast<std::size_t>(i)] += step * step;
      before = after;
    }
  }
  Shapley result;
  for (std::size_t i = 0; i < n; ++i) {
    const double mean = sum[i] / count;
    result.parts.push_back(mean);
    const double variance = std::max(0.0, squares[i] / count - mean * mean) * count / std::max(1.0, count - 1);
    result.error.push_back(std::sqrt(variance / count));
  }
  return result;
}

}  // namespace

Orders draw_orders(int factors, int circles, std::uint64_t seed) {
  Orders orders;
  for (int c = 0; c < circles; ++c) {
    base::RandomStream stream(seed, "shapley", static_cast<std::uint64_t>(c));
    std::vector<int> order(static_cast<std::size_t>(factors));
    std::iota(order.begin(), order.end(), 0);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[stream.below(i)]);
    for (int turn = 0; turn < factors; ++turn) {
      orders.push_back(order);
      orders.emplace_back(order.rbegin(), order.rend());
      std::rotate(order.begin(), std::next(order.begin()), order.end());
    }
  }
  return orders;
}

std::vector<Subset> subsets_needed(int factors, const Orders& orders) {
  MOESIM_CHECK(factors >= 0 && factors <= kMaxFactors, "too many factors");
  std::vector<Subset> all;
  if (orders.empty()) {
    for (Subset set = 0; set < Subset{1} << factors; ++set) all.push_back(set);
    return all;
  }
  std::set<Subset> needed{0};
  for (const auto& order : orders) {
    Subset set = 0;
    for (const int i : order) needed.insert(set |= Subset{1} << i);
  }
  all.assign(needed.begin(), needed.end());
  return all;
}

Shapley shapley(int factors, const Orders& orders, const std::function<double(Subset)>& value) {
  MOESIM_CHECK(factors >= 0 && factors <= kMaxFactors, "too many factors");
  Shapley result = orders.empty() ? exact(factors, value) : sampled(factors, orders, value);
  result.whole = value((Subset{1} << factors) - 1) - value(0);
  return result;
}

}  // namespace moesim::planning
