#include "workloads/token_sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include <doctest/doctest.h>

#include "tests/workloads/inputs.h"

namespace moesim::workloads {
namespace {

using tests::model_of;

// The same draws, one by one, as plainly as they can be written.
class PlainSampler {
 public:
  PlainSampler(const Model& model, const std::vector<double>& weights) : model_(model), choice_(weights) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (const double w : weights) share_.push_back(1 + static_cast<std::uint64_t>(std::llround(w / sum * 0x1.0p40)));
  }

  std::vector<std::uint16_t> draw(const std::vector<std::uint16_t>& previous, double kept, base::RandomStream& stream) {
    std::vector<std::uint16_t> token;
    if (kept > 0)
      for (const std::uint16_t e : previous)
        if (stream.uniform() < kept && may_take(token, e)) token.push_back(e);
    const auto k = static_cast<std::size_t>(model_.top_k);
    for (std::size_t tries = 0; token.size() < k; ++tries) {
      const std::size_t e = tries < 8 * k ? choice_.draw(stream) : rest(token, stream);
      if (may_take(token, e)) token.push_back(static_cast<std::uint16_t>(e));
    }
    return token;
  }
  int rests = 0;  // draws over what is left

 private:
  bool may_take(const std::vector<std::uint16_t>& token, std::size_t expert) const {
    const auto each = static_cast<std::size_t>(model_.experts / model_.groups);
    std::set<std::size_t> groups{expert / each};
    for (const std::uint16_t e : token) {
      if (e == expert) return false;
      groups.insert(e / each);
    }
    return groups.size() <= static_cast<std::size_t>(model_.top_groups);
  }
  std::size_t rest(const std::vector<std::uint16_t>& token, base::RandomStream& stream) {
    ++rests;
    std::vector<std::size_t> left;
    for (std::size_t e = 0; e < share_.size(); ++e)
      if (may_take(token, e)) left.push_back(e);
    std::uint64_t total = 0;
    for (const std::size_t e : left) total += share_[e];
    std::uint64_t at = stream.below(total);
    std::size_t i = 0;
    for (; at >= share_[left[i]]; ++i) at -= share_[left[i]];
    return left[i];
  }

  const Model& model_;
  base::WeightedChoice choice_;
  std::vector<std::uint64_t> share_;
};

// Draws 400 tokens, some in one go, some singly; returns how often the plain sampler drew over what was left.
int compare_with_plain(const Model& model, const std::vector<double>& weights, double kept) {
  const auto k = static_cast<std::size_t>(model.top_k);
  PlainSampler plain(model, weights);
  base::RandomStream of_plain(5, "tokens"), stream(5, "tokens");
  std::vector<std::uint16_t> expected, token;
  for (int t = 0; t < 400; ++t) {
    token = plain.draw(token, kept, of_plain);
    expected.insert(expected.end(), token.begin(), token.end());
  }
  TokenSampler sampler(model);
  const ExpertWeights drawn(weights);
  std::vector<std::uint16_t> ids(400 * k);
  std::size_t t = 0;
  for (const std::size_t count : {1, 1, 0, 197, 1, 200}) {
    const auto previous = t > 0 ? std::span(ids).subspan((t - 1) * k, k) : std::span<std::uint16_t>();
    sampler.draw(drawn, previous, kept, stream, std::span(ids).subspan(t * k, count * k));
    t += count;
  }
  CHECK(ids == expected);
  CHECK(stream.next() == of_plain.next());
  return plain.rests;
}

std::vector<double> weights_of(std::int32_t experts, double exponent) {
  std::vector<double> weights;
  for (std::int32_t e = 0; e < experts; ++e) weights.push_back(std::pow((7 * e) % experts + 1, -exponent));
  return weights;
}

}  // namespace

TEST_CASE("tokens are those that plain drawing without replacement gives, in one go or singly") {
  const Model grouped = model_of(R"({"preset": "deepseek-v3"})"), free = model_of(R"({"preset": "qwen3-30b-a3b"})");
  CHECK(grouped.top_groups < grouped.groups);
  for (const double kept : {0.0, 0.4, 1.0}) {
    CAPTURE(kept);
    CHECK(compare_with_plain(grouped, weights_of(256, 0.6), kept) == 0);
    CHECK(compare_with_plain(free, weights_of(128, 0.6), kept) == 0);
  }
  SUBCASE("where popular experts are used up") {
    CHECK(compare_with_plain(grouped, weights_of(256, 6), 0) > 400);
    CHECK(compare_with_plain(grouped, weights_of(256, 6), 0.5) > 100);
    CHECK(compare_with_plain(free, weights_of(128, 6), 0) > 400);
  }
}

}  // namespace moesim::workloads
