#include "workloads/token_sampler.h"

#include <cmath>
#include <numeric>

namespace moesim::workloads {

ExpertWeights::ExpertWeights(std::span<const double> weights) : choice_(weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (const double w : weights) share_.push_back(1 + static_cast<std::uint64_t>(std::llround(w / sum * 0x1.0p40)));
}

// What one token has so far.
class TokenSampler::Token {
 public:
  explicit Token(TokenSampler& sampler)
      : group_of_(sampler.group_of_.data()),
        used_(sampler.used_.data()),
        group_used_(sampler.group_used_.data()),
        number_(++sampler.token_),
        groups_open_(sampler.top_groups_) {}

  // 1, or 0 if the token may not take it. Which of them is hard to foretell: no branch depends on it.
  std::int32_t take(std::size_t expert) {
    std::int64_t& group = group_used_[group_of_[expert]];
    const std::int32_t fresh = used_[expert] != number_, entered = group == number_, open = groups_open_ > 0;
    const std::int32_t taken = fresh & (entered | open);
    used_[expert] = number_;  // also where its group is refused, which it is for the rest of the token
    group ^= (group ^ number_) & -std::int64_t{taken};  // number_ if taken
    groups_open_ -= taken & (entered ^ 1);
    return taken;
  }

  bool may_take(std::size_t expert) const {
    return used_[expert] != number_ && (groups_open_ > 0 || group_used_[group_of_[expert]] == number_);
  }

 private:
  const std::uint16_t* group_of_;
  std::int64_t *used_, *group_used_;
  std::int64_t number_;
  std::int32_t groups_open_;  // groups that the token may still enter
};

TokenSampler::TokenSampler(const Model& model)
    : top_k_(model.top_k),
      top_groups_(model.top_groups),
      group_of_(static_cast<std::size_t>(model.experts)),
      used_(static_cast<std::size_t>(model.experts), -1),
      group_used_(static_cast<std::size_t>(model.groups), -1) {
  for (std::size_t e = 0; e < group_of_.size(); ++e)
    group_of_[e] = static_cast<std::uint16_t>(e / (group_of_.size() / group_used_.size()));
}

void TokenSampler::draw(const ExpertWeights& weights, std::span<const std::uint16_t> previous, double kept,
                        base::RandomStream& stream, std::span<std::uint16_t> ids) {
  base::RandomStream local = stream;  // in registers
  const auto k = static_cast<std::size_t>(top_k_);
  for (std::size_t at = 0; at + k <= ids.size(); at += k) {
    // The next id is written there, and stays if the token takes that expert.
    std::uint16_t* out = ids.data() + at;
    const std::uint16_t* const end = out + k;
    Token token(*this);
    if (kept > 0) {
      for (const std::uint16_t expert : previous) {
        if (local.uniform() >= kept) continue;
        *out = expert;
        out += token.take(expert);
      }
      previous = ids.subspan(at, k);
    }
    for (std::int32_t tries = 8 * top_k_; out != end && tries > 0; --tries) {
      const std::size_t expert = weights.choice_.draw(local);
      *out = static_cast<std::uint16_t>(expert);
      out += token.take(expert);
    }
    // Refusals are rare unless the popular experts are used up: then the exact draw over the rest is faster.
    while (out != end) {
      const std::size_t expert = draw_rest(weights, token, local);
      *out = static_cast<std::uint16_t>(expert);
      out += token.take(expert);
    }
  }
  stream = local;
}

std::size_t TokenSampler::draw_rest(const ExpertWeights& weights, const Token& token, base::RandomStream& stream) {
  const std::vector<std::uint64_t>& share = weights.share_;
  std::uint64_t total = 0;
  for (std::size_t e = 0; e < share.size(); ++e) total += token.may_take(e) ? share[e] : 0;
  std::uint64_t at = stream.below(total);
  for (std::size_t e = 0;; ++e) {
    if (!token.may_take(e)) continue;
    if (at < share[e]) return e;
    at -= share[e];
  }
}

}  // namespace moesim::workloads
