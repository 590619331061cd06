#include "workloads/placement_counters.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace moesim::workloads {
namespace {

std::size_t as_size(std::int64_t n) { return static_cast<std::size_t>(n); }

// Largest over mean, 1 without any.
double imbalance(const std::vector<std::int64_t>& counts) {
  const auto sum = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  if (sum <= 0) return 1;
  return static_cast<double>(*std::max_element(counts.begin(), counts.end())) * static_cast<double>(counts.size()) /
         sum;
}

}  // namespace

PlacementCounters::PlacementCounters(const LayerRouting& routing, const Placement& placement, const base::RankMap& map,
                                     const PlacementCosts& costs)
    : routing_(routing),
      costs_(costs),
      domain_(map.domain),
      ranks_(placement.ranks),
      token_unit_(routing.experts.size()) {
  MOESIM_CHECK(map.ranks() == placement.ranks, "a place for every rank of the placement");
  const std::int32_t domains = *std::max_element(domain_.begin(), domain_.end()) + 1;
  for (auto* counts : {&selections_, &slots_hit_, &copies_in_, &copies_out_}) counts->assign(as_size(ranks_), 0);
  domain_size_.assign(as_size(domains), 0);
  for (const std::int32_t domain : domain_) ++domain_size_[as_size(domain)];
  crossings_in_.assign(as_size(costs.once_per_domain ? domains : ranks_), 0);
  crossings_out_ = crossings_in_;
  for (const std::int32_t slot : placement.slots) unit_rank_.push_back(placement.slot_rank[as_size(slot)]);
  unit_tokens_.resize(unit_rank_.size());
  for (std::int64_t token = 0; token < routing.tokens(); ++token) {
    for (std::int32_t i = 0; i < routing.top_k; ++i) {
      const auto at = as_size(token * routing.top_k + i);
      const auto expert = as_size(routing.experts[at]);
      const std::int32_t count = placement.first[expert + 1] - placement.first[expert];
      const std::int32_t unit = placement.first[expert] + static_cast<std::int32_t>(token % count);
      token_unit_[at] = unit;
      unit_tokens_[as_size(unit)].push_back(static_cast<std::int32_t>(token));
      ++selections_[as_size(rank_of(unit))];
    }
    add_token(token);
  }
  for (std::size_t unit = 0; unit < unit_rank_.size(); ++unit)
    slots_hit_[as_size(unit_rank_[unit])] += unit_tokens_[unit].empty() ? 0 : 1;
}

void PlacementCounters::exchange(std::int32_t a, std::int32_t b) {
  const std::int32_t from = rank_of(a), to = rank_of(b);
  const auto& tokens_a = unit_tokens_[as_size(a)];
  const auto& tokens_b = unit_tokens_[as_size(b)];
  // Both lists rise; a token that uses both units does not notice.
  const std::int32_t none = std::numeric_limits<std::int32_t>::max();
  for (std::size_t i = 0, j = 0; i < tokens_a.size() || j < tokens_b.size();) {
    const std::int32_t next_a = i < tokens_a.size() ? tokens_a[i] : none;
    const std::int32_t next_b = j < tokens_b.size() ? tokens_b[j] : none;
    if (next_a <= next_b) ++i;
    if (next_b <= next_a) ++j;
    if (next_a < next_b) move(next_a, a, from, to);
    if (next_b < next_a) move(next_b, b, to, from);
  }
  const auto more = static_cast<std::int64_t>(tokens_b.size()) - static_cast<std::int64_t>(tokens_a.size());
  selections_[as_size(from)] += more;
  selections_[as_size(to)] -= more;
  const std::int64_t hit = (tokens_b.empty() ? 0 : 1) - (tokens_a.empty() ? 0 : 1);
  slots_hit_[as_size(from)] += hit;
  slots_hit_[as_size(to)] -= hit;
  std::swap(unit_rank_[as_size(a)], unit_rank_[as_size(b)]);
}

PlacementCounters::Worth PlacementCounters::worth() const {
  Worth worth;
  double experts = 0, ranks = 0, domains = 0, largest = -1;
  const auto see = [&](double term, std::int32_t where, double& most) {
    worth.squares += term * term;
    most = std::max(most, term);
    if (term <= largest) return;
    largest = term;
    worth.binding = where;
  };
  const double per_copy = per_unit(costs_.rank_bandwidth);
  for (std::int32_t rank = 0; rank < ranks_; ++rank) {
    const std::size_t r = as_size(rank);
    see(std::max(static_cast<double>(selections_[r]) * costs_.per_selection.value(),
                 static_cast<double>(slots_hit_[r]) * costs_.per_slot.value()),
        rank, experts);
    see(busiest_way(rank) * per_copy, rank, ranks);
  }
  const bool domain_wise = costs_.once_per_domain;
  std::vector<std::int64_t> into(domain_size_.size(), 0);  // crossings into each domain
  for (std::size_t boundary = 0; boundary < crossings_in_.size(); ++boundary)
    into[domain_wise ? boundary : as_size(domain_[boundary])] += crossings_in_[boundary];
  for (std::size_t boundary = 0; boundary < crossings_in_.size(); ++boundary) {
    const auto place = static_cast<std::int32_t>(boundary);
    see(busiest_boundary(boundary, into[domain_wise ? boundary : as_size(domain_of(place))]),
        domain_wise ? -1 - place : place, domains);
  }
  worth.time = {base::Duration(experts), base::Duration(ranks), base::Duration(domains)};
  return worth;
}

PlacementQuality PlacementCounters::quality() const {
  const auto per_token = [&](const std::vector<std::int64_t>& counts) {
    const auto tokens = static_cast<double>(std::max<std::int64_t>(routing_.tokens(), 1));
    return static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0})) / tokens;
  };
  return {imbalance(selections_), per_token(copies_in_), imbalance(copies_in_), per_token(crossings_in_),
          imbalance(crossings_in_)};
}

double PlacementCounters::per_unit(base::Bandwidth bandwidth) const {
  return bandwidth.value() > 0 ? costs_.bytes.value() / bandwidth.value() : 0;
}

// Of a token from any rank alike, a rank with one of its experts receives a copy with probability (ranks - 1) / ranks,
// and each rank sends as much; a domain of n ranks receives it with probability (ranks - n) / ranks.
double PlacementCounters::busiest_way(std::int32_t rank) const {
  const std::size_t r = as_size(rank);
  if (!costs_.any_source) return static_cast<double>(std::max(copies_in_[r], copies_out_[r]));
  const double remote = static_cast<double>(ranks_ - 1) / ranks_;
  return remote * std::max(static_cast<double>(copies_in_[r]), static_cast<double>(all_copies_) / ranks_);
}

double PlacementCounters::busiest_boundary(std::size_t boundary, std::int64_t into_domain) const {
  const auto place = static_cast<std::int32_t>(boundary);
  const double size = domain_size_[as_size(costs_.once_per_domain ? place : domain_of(place))];
  const double seconds = per_unit(costs_.domain_bandwidth) * (costs_.once_per_domain ? 1 : size);
  const auto in = static_cast<double>(crossings_in_[boundary]);
  if (!costs_.any_source) return seconds * std::max(in, static_cast<double>(crossings_out_[boundary]));
  // What leaves: the crossings that are not into the own domain, from each of the ranks alike.
  const double senders = costs_.once_per_domain ? size : 1;
  return seconds *
         std::max(in * (ranks_ - size) / ranks_, static_cast<double>(all_crossings_ - into_domain) * senders / ranks_);
}

std::int32_t PlacementCounters::source(std::int64_t token) const {
  return static_cast<std::int32_t>(token * ranks_ / routing_.tokens());
}

void PlacementCounters::copy(std::int32_t from, std::int32_t to, std::int64_t change) {
  if (from == to && !costs_.any_source) return;
  copies_in_[as_size(to)] += change;
  copies_out_[as_size(from)] += change;
  all_copies_ += change;
  if (!costs_.once_per_domain) crossing(from, to, change);
}

void PlacementCounters::crossing(std::int32_t from, std::int32_t to, std::int64_t change) {
  if (domain_of(from) == domain_of(to) && !costs_.any_source) return;
  crossings_in_[as_size(costs_.once_per_domain ? domain_of(to) : to)] += change;
  crossings_out_[as_size(costs_.once_per_domain ? domain_of(from) : from)] += change;
  all_crossings_ += change;
}

// Counts where a token goes.
void PlacementCounters::add_token(std::int64_t token) {
  const std::int32_t from = source(token);
  const auto at = as_size(token * routing_.top_k);
  for (std::size_t i = 0; i < as_size(routing_.top_k); ++i) {
    const std::int32_t rank = rank_of(token_unit_[at + i]);
    bool new_rank = true, new_domain = true;
    for (std::size_t j = 0; j < i; ++j) {
      const std::int32_t before = rank_of(token_unit_[at + j]);
      new_rank = new_rank && before != rank;
      new_domain = new_domain && domain_of(before) != domain_of(rank);
    }
    if (new_rank) copy(from, rank, 1);
    if (new_domain && costs_.once_per_domain) crossing(from, rank, 1);
  }
}

// One of a token's units goes from a rank to another one; its other units stay.
void PlacementCounters::move(std::int32_t token, std::int32_t unit, std::int32_t old_rank, std::int32_t new_rank) {
  bool on_old = false, on_new = false, in_old = false, in_new = false;
  const std::int32_t old_domain = domain_of(old_rank), new_domain = domain_of(new_rank);
  const auto at = as_size(std::int64_t{token} * routing_.top_k);
  for (std::size_t i = 0; i < as_size(routing_.top_k); ++i) {
    const std::int32_t other = token_unit_[at + i];
    if (other == unit) continue;
    const std::int32_t rank = rank_of(other), domain = domain_of(rank);
    on_old = on_old || rank == old_rank;
    on_new = on_new || rank == new_rank;
    in_old = in_old || domain == old_domain;
    in_new = in_new || domain == new_domain;
  }
  const std::int32_t from = source(token);
  if (!on_old) copy(from, old_rank, -1);
  if (!on_new) copy(from, new_rank, 1);
  if (old_domain == new_domain || !costs_.once_per_domain) return;
  if (!in_old) crossing(from, old_rank, -1);
  if (!in_new) crossing(from, new_rank, 1);
}

PlacementTime placement_time(const LayerRouting& routing, const Placement& placement, const base::RankMap& map,
                             const PlacementCosts& costs) {
  return PlacementCounters(routing, placement, map, costs).worth().time;
}

PlacementQuality placement_quality(const LayerRouting& routing, const Placement& placement, const base::RankMap& map,
                                   bool once_per_domain) {
  PlacementCosts costs;
  costs.once_per_domain = once_per_domain;
  return PlacementCounters(routing, placement, map, costs).quality();
}

PlacementEffect placement_effect(const LayerRouting& held_out, const Placement& before, const Placement& after,
                                 const base::RankMap& map, bool once_per_domain) {
  return {placement_quality(held_out, before, map, once_per_domain),
          placement_quality(held_out, after, map, once_per_domain)};
}

std::string describe(const std::vector<PlacementEffect>& layers) {
  MOESIM_CHECK(!layers.empty(), "a layer to describe");
  PlacementEffect mean{{0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}};
  for (const PlacementEffect& layer : layers)
    for (PlacementQuality PlacementEffect::*side : {&PlacementEffect::before, &PlacementEffect::after})
      for (double PlacementQuality::*number : {&PlacementQuality::load_imbalance, &PlacementQuality::copies_per_token,
                                               &PlacementQuality::crossings_per_token})
        (mean.*side).*number += (layer.*side).*number / static_cast<double>(layers.size());
  const auto text = [&](double PlacementQuality::*number, const std::string& unit, const std::string& reference) {
    return base::format_number(mean.after.*number) + unit + " (" + reference +
           base::format_number(mean.before.*number) + ")";
  };
  std::string result = "the busiest GPU computes " +
                       text(&PlacementQuality::load_imbalance, " times the mean", "contiguous, without spare slots: ") +
                       ", a token goes to " + text(&PlacementQuality::copies_per_token, " other GPUs", "");
  if (mean.before.crossings_per_token > 0 || mean.after.crossings_per_token > 0)
    result += ", with " + text(&PlacementQuality::crossings_per_token, " crossings between NVLink domains", "");
  return result;
}

}  // namespace moesim::workloads
