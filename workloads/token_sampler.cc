#include "workloads/token_sampler.h"

#include <cmath>
#include <numeric>

namespace moesim::workloads {

ExpertWeights::ExpertWeights(std::span<const double> weights) : choice_(weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (const double w : weights) share_.push_back(1 + static_cast<std::uint64_t>(std::llround(w / sum * 0x1.0p40)));
}

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
                        base::RandomStream& stream, std::uint16_t* ids) {
  ++token_;
  groups_open_ = top_groups_;
  std::int32_t count = 0;
  if (kept > 0)
    for (const std::uint16_t expert : previous)
      if (stream.uniform() < kept && take(expert)) ids[count++] = expert;
  // Refusals are rare unless the popular experts are used up: then the exact draw over the rest is faster.
  for (std::int32_t tries = 0; count < top_k_; ++tries) {
    const std::size_t expert = tries < 8 * top_k_ ? weights.choice_.draw(stream) : draw_rest(weights, stream);
    if (take(expert)) ids[count++] = static_cast<std::uint16_t>(expert);
  }
}

bool TokenSampler::allowed(std::size_t expert) const {
  return used_[expert] != token_ && (groups_open_ > 0 || group_used_[group_of_[expert]] == token_);
}

bool TokenSampler::take(std::size_t expert) {
  if (!allowed(expert)) return false;
  used_[expert] = token_;
  std::int64_t& group = group_used_[group_of_[expert]];
  if (group != token_) --groups_open_;
  group = token_;
  return true;
}

std::size_t TokenSampler::draw_rest(const ExpertWeights& weights, base::RandomStream& stream) const {
  std::uint64_t total = 0;
  for (std::size_t e = 0; e < used_.size(); ++e) total += allowed(e) ? weights.share_[e] : 0;
  std::uint64_t at = stream.below(total);
  for (std::size_t e = 0;; ++e) {
    if (!allowed(e)) continue;
    if (at < weights.share_[e]) return e;
    at -= weights.share_[e];
  }
}

}  // namespace moesim::workloads
