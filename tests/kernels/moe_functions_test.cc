// The device functions of the MoE kernels, compiled for the host, against plain references.
#include "kernels/device/moe_functions.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/harness/sweep.h"

namespace moesim::kernels {

TEST_CASE("the gate chooses the largest scores in order, with softmax weights over those chosen") {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 3);
  for (const int count : {8, 64, 256}) {
    for (const int top_k : {1, 2, 8}) {
      std::vector<float> scores;
      for (int i = 0; i < count; ++i) scores.push_back(normal(random));
      std::vector<std::int32_t> chosen(static_cast<std::size_t>(top_k)), order(static_cast<std::size_t>(count));
      std::vector<float> weights(static_cast<std::size_t>(top_k));
      gate_top_k(scores.data(), count, top_k, chosen.data(), weights.data());
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
        return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
      });
      double sum = 0;
      for (int k = 0; k < top_k; ++k)
        sum += std::exp(scores[static_cast<std::size_t>(order[static_cast<std::size_t>(k)])]);
      for (std::size_t k = 0; k < chosen.size(); ++k) {
        CHECK(chosen[k] == order[k]);
        CHECK(weights[k] == doctest::Approx(std::exp(scores[static_cast<std::size_t>(order[k])]) / sum).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("equal scores go to the lower index, and large scores do not overflow") {
  const std::vector<float> scores{1, 3, 3, 3, 2};
  std::vector<std::int32_t> chosen(3);
  std::vector<float> weights(3);
  gate_top_k(scores.data(), 5, 3, chosen.data(), weights.data());
  CHECK(chosen == std::vector<std::int32_t>{1, 2, 3});
  const std::vector<float> large{1e30F, 0};
  gate_top_k(large.data(), 2, 2, chosen.data(), weights.data());
  CHECK(weights[0] == 1);
  CHECK(weights[1] == 0);
}

TEST_CASE("packing gives each choice a row of its own expert's block, and the weighted sum brings tokens back") {
  constexpr int kTokens = 64, kExperts = 16, kTopK = 4;
  const auto ids = random_topk(kTokens, kExperts, kTopK, 9);
  std::vector<std::int64_t> first(kExperts + 1, 0);
  for (const std::int32_t id : ids) ++first[static_cast<std::size_t>(id) + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<std::int32_t> before(kExperts, 0);
  std::vector<float> packed(ids.size(), -1);
  std::vector<std::int64_t> rows;
  for (std::size_t choice = 0; choice < ids.size(); ++choice) {
    const std::int32_t expert = ids[choice];
    const std::int64_t row = packed_row(first.data(), expert, before[static_cast<std::size_t>(expert)]++);
    CHECK(row >= first[static_cast<std::size_t>(expert)]);
    CHECK(row < first[static_cast<std::size_t>(expert) + 1]);
    CHECK(packed[static_cast<std::size_t>(row)] == -1);
    const std::size_t token = choice / kTopK;
    packed[static_cast<std::size_t>(row)] = static_cast<float>(token);
    rows.push_back(row);
  }
  const std::vector<float> weights{0.5F, 0.25F, 0.125F, 0.125F};
  for (std::size_t token = 0; token < kTokens; ++token) {
    const auto element = [&](int k) {
      return packed[static_cast<std::size_t>(rows[token * kTopK + static_cast<std::size_t>(k)])];
    };
    CHECK(weighted_sum(element, weights.data(), kTopK) == doctest::Approx(static_cast<double>(token)));
  }
}

}  // namespace moesim::kernels
