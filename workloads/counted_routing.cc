#include "workloads/counted_routing.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "workloads/token_sampler.h"

namespace moesim::workloads {
namespace {

constexpr double kMostOften = 1 - 1e-4;  // of an expert in a token's choice

// The probability that each expert is in a token's choice: top_k in all, none above kMostOften.
std::vector<double> inclusion(std::span<const double> counts, std::int32_t top_k) {
  std::vector<double> often(counts.begin(), counts.end());
  std::vector<char> full(often.size(), 0);
  for (bool again = true; again;) {
    again = false;
    double left = top_k, sum = 0;
    for (std::size_t e = 0; e < often.size(); ++e) {
      left -= full[e] ? kMostOften : 0;
      sum += full[e] ? 0 : counts[e];
    }
    for (std::size_t e = 0; e < often.size(); ++e) {
      if (full[e]) continue;
      often[e] = sum > 0 ? left * counts[e] / sum : 0;
      if (often[e] <= kMostOften) continue;
      often[e] = kMostOften;
      full[e] = 1;
      again = true;
    }
  }
  return often;
}

}  // namespace

std::vector<double> weights_of_counts(std::span<const double> counts, const Model& model, const std::string& source) {
  MOESIM_CHECK(counts.size() == static_cast<std::size_t>(model.experts), "a count for each expert");
  const auto chosen = std::count_if(counts.begin(), counts.end(), [](double c) { return c > 0; });
  if (chosen < model.top_k)
    throw base::InputError(source, "", std::to_string(chosen) + " experts have a count above 0",
                           "at least top_k = " + std::to_string(model.top_k));
  const std::vector<double> often = inclusion(counts, model.top_k);
  std::vector<double> weights;
  for (const double p : often) weights.push_back(-std::log1p(-p));
  if (model.top_groups >= model.groups) return weights;

  constexpr std::int64_t kTokens = 8192;
  constexpr int kRounds = 6;
  std::vector<std::uint16_t> ids(static_cast<std::size_t>(kTokens * model.top_k));
  for (int round = 0; round < kRounds; ++round) {
    base::RandomStream stream(static_cast<std::uint64_t>(round), "group limits");
    TokenSampler sampler(model);
    const ExpertWeights drawn(weights);
    std::vector<double> seen(weights.size(), 0);
    sampler.draw(drawn, {}, 0, stream, ids);
    for (const std::uint16_t e : ids) ++seen[e];
    // Half a selection more, and half the correction: a rare expert's sample is a matter of luck.
    for (std::size_t e = 0; e < weights.size(); ++e)
      weights[e] *= std::sqrt((often[e] * kTokens + 0.5) / (seen[e] + 0.5));
  }
  return weights;
}

std::vector<std::uint16_t> deal_selections(std::span<const std::int64_t> selections, std::int64_t tokens,
                                           std::int32_t top_k, base::RandomStream& stream) {
  const auto shuffled = [&](std::size_t count) {
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[stream.below(i)]);
    return order;
  };
  const auto n = static_cast<std::size_t>(tokens), k = static_cast<std::size_t>(top_k);
  const std::vector<std::size_t> experts = shuffled(selections.size()), order = shuffled(n);
  std::vector<std::uint16_t> ids(n * k);
  // Selection p goes to token p mod tokens: those of one expert, at most `tokens`, to different ones.
  std::size_t p = 0;
  for (const std::size_t e : experts) {
    MOESIM_CHECK(selections[e] >= 0 && selections[e] <= tokens, "an expert is chosen at most once by a token");
    for (std::int64_t s = 0; s < selections[e]; ++s, ++p)
      ids.at(order[p % n] * k + p / n) = static_cast<std::uint16_t>(e);
  }
  MOESIM_CHECK(p == ids.size(), "top_k selections for each token");
  return ids;
}

}  // namespace moesim::workloads
