#include "workloads/power_law.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace moesim::workloads {
namespace {

std::vector<double> draw_weights(const PowerLaw& law, base::RandomStream& stream) {
  const bool few = law.tokens * law.top_k <= law.experts;
  const double low = few ? 0.01 : 1;
  const double high = few ? 2 : std::max(1.0, 0.8 * static_cast<double>(law.tokens));
  const double power = 1 - law.exponent;
  std::vector<double> weights(static_cast<std::size_t>(law.experts));
  for (double& weight : weights) {
    const double u = stream.uniform();
    if (std::abs(power) < 1e-9) {  // the limit alpha -> 1
      weight = low * std::pow(high / low, u);
    } else {
      const double at_low = std::pow(low, power);
      weight = std::pow((std::pow(high, power) - at_low) * u + at_low, 1 / power);
    }
  }
  return weights;
}

}  // namespace

std::vector<std::int64_t> draw_power_law(const PowerLaw& law, base::RandomStream& stream) {
  MOESIM_CHECK(law.tokens >= 0 && law.top_k >= 1 && law.top_k <= law.experts && law.exponent > 0,
               "power law: tokens >= 0, 1 <= top_k <= experts, exponent > 0");
  const std::int64_t total = law.tokens * law.top_k;
  const std::vector<double> weights = draw_weights(law, stream);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::int64_t> counts(weights.size());
  std::transform(weights.begin(), weights.end(), counts.begin(), [&](double weight) {
    return std::min<std::int64_t>(std::llround(weight / sum * static_cast<double>(total)), law.tokens);
  });

  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::int64_t missing = total - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  if (missing > 0) {
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return counts[a] != counts[b] ? counts[a] < counts[b] : weights[a] > weights[b];
    });
  } else {
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return counts[a] > counts[b]; });
  }
  for (std::size_t turn = 0; missing != 0; turn = (turn + 1) % order.size()) {
    std::int64_t& count = counts[order[turn]];
    if (missing > 0 && count < law.tokens) {
      ++count;
      --missing;
    } else if (missing < 0 && count > 0) {
      --count;
      ++missing;
    }
  }
  return counts;
}

std::vector<std::int64_t> even_selections(std::int64_t tokens, std::int32_t top_k, std::int32_t experts) {
  MOESIM_CHECK(tokens >= 0 && top_k >= 1 && top_k <= experts, "even routing: tokens >= 0, 1 <= top_k <= experts");
  const std::int64_t stride = (experts + top_k - 1) / top_k;
  std::vector<std::int64_t> at(static_cast<std::size_t>(stride), 0);  // tokens that begin at each place of the stride
  if (tokens < stride) {
    for (std::int64_t token = 0; token < tokens; ++token) ++at[static_cast<std::size_t>(token * stride / tokens)];
  } else {
    for (std::int64_t place = 0; place < stride; ++place)
      at[static_cast<std::size_t>(place)] = tokens / stride + (place < tokens % stride ? 1 : 0);
  }
  std::vector<std::int64_t> counts(static_cast<std::size_t>(experts), 0);
  for (std::int64_t choice = 0; choice < top_k; ++choice) {
    for (std::int64_t place = 0; place < stride; ++place)
      counts[static_cast<std::size_t>((place + choice * stride) % experts)] += at[static_cast<std::size_t>(place)];
  }
  return counts;
}

std::span<const std::int64_t> most_loaded_rank(std::span<const std::int64_t> selections, std::int32_t ranks) {
  MOESIM_CHECK(ranks >= 1 && selections.size() % static_cast<std::size_t>(ranks) == 0, "ranks must divide the experts");
  const std::size_t each = selections.size() / static_cast<std::size_t>(ranks);
  std::size_t best = 0;
  std::int64_t most = -1;
  for (std::size_t first = 0; first < selections.size(); first += each) {
    const auto rank = selections.subspan(first, each);
    const std::int64_t load = std::accumulate(rank.begin(), rank.end(), std::int64_t{0});
    if (load > most) {
      most = load;
      best = first;
    }
  }
  return selections.subspan(best, each);
}

}  // namespace moesim::workloads
