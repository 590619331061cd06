#include "sim/engine/decompose.h"

#include <algorithm>
#include <limits>

namespace moesim::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

}  // namespace

Decomposer::Decomposer(const Routes& routes, std::vector<double> least, std::vector<double> most)
    : routes_(routes), least_(std::move(least)), most_(std::move(most)) {
  dropped_.assign(least_.size(), 0);
  order_.assign(least_.size(), 0);
  vouched_.assign(least_.size(), 0);
}

void Decomposer::index_links(std::span<const std::uint32_t> classes) {
  for (const std::uint32_t l : links_) order_[l] = 0;
  links_.clear();
  begin_.assign(1, 0);
  for (const std::uint32_t c : classes) {
    for (std::uint32_t h = routes_.begin[c]; h < routes_.begin[c + 1]; ++h) {
      const std::uint32_t l = routes_.link[h];
      if (order_[l] == 0) {
        links_.push_back(l);
        order_[l] = static_cast<std::uint32_t>(links_.size());
        begin_.push_back(0);
        dropped_[l] = 0;
      }
      ++begin_[order_[l]];
    }
  }
  for (std::size_t i = 0; i + 1 < begin_.size(); ++i) begin_[i + 1] += begin_[i];
  members_.resize(begin_.back());
  member_hop_.resize(begin_.back());
  for (std::uint32_t i = static_cast<std::uint32_t>(classes.size()); i-- > 0;) {
    for (std::uint32_t h = routes_.begin[classes[i]]; h < routes_.begin[classes[i] + 1]; ++h) {
      const std::uint32_t at = --begin_[order_[routes_.link[h]]];
      members_[at] = i;
      member_hop_[at] = h;
    }
  }
  // begin_[k] is now where the members of links_[k - 1] begin: shift to the usual form.
  begin_.erase(begin_.begin());
  begin_.push_back(static_cast<std::uint32_t>(members_.size()));
}

void Decomposer::choose(std::uint32_t i, std::uint32_t klass) {
  Choice& choice = choice_[i];
  choice = {{kNone, kNone}};
  double least[2] = {kInfinity, kInfinity};
  for (std::uint32_t h = routes_.begin[klass]; h < routes_.begin[klass + 1]; ++h) {
    if (dropped_[routes_.link[h]]) continue;
    const double rate = most_[routes_.link[h]] / routes_.weight[h];
    if (rate < least[0]) {
      least[1] = least[0];
      choice.hop[1] = choice.hop[0];
      least[0] = rate;
      choice.hop[0] = h;
    } else if (rate < least[1]) {
      least[1] = rate;
      choice.hop[1] = h;
    }
  }
}

bool Decomposer::can_drop(std::uint32_t link, std::span<const std::uint32_t> classes,
                          std::span<const std::uint32_t> room) {
  if (least_[link] != most_[link]) return false;
  const double capacity = least_[link];
  double sum = 0;
  bool can = true;
  vouching_.clear();
  for (std::uint32_t m = begin_[order_[link] - 1]; m < begin_[order_[link]] && can; ++m) {
    const std::uint32_t i = members_[m], own = member_hop_[m], c = classes[i];
    const std::uint32_t hop = choice_[i].hop[0] != own ? choice_[i].hop[0] : choice_[i].hop[1];
    const double capped = room[c] * routes_.rate_cap[c];
    if (hop == kNone || capped * routes_.weight[hop] < most_[routes_.link[hop]]) {
      sum += capped * routes_.weight[own];
    } else {
      const std::uint32_t s = routes_.link[hop];
      const double ratio = routes_.weight[own] / routes_.weight[hop];
      if (vouched_[s] == 0) vouching_.push_back(s);
      if (ratio > vouched_[s]) {
        sum += most_[s] * (ratio - vouched_[s]);
        vouched_[s] = ratio;
      }
    }
    can = sum <= capacity;
  }
  for (const std::uint32_t s : vouching_) vouched_[s] = 0;
  return can;
}

std::uint32_t Decomposer::find(std::uint32_t i) {
  while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
  return i;
}

std::uint32_t Decomposer::label(std::span<const std::uint32_t> classes, bool kept_only,
                                std::vector<std::uint32_t>& labels) {
  const auto n = static_cast<std::uint32_t>(classes.size());
  parent_.resize(n);
  for (std::uint32_t i = 0; i < n; ++i) parent_[i] = i;
  for (std::size_t k = 0; k < links_.size(); ++k) {
    if (kept_only && dropped_[links_[k]]) continue;
    const std::uint32_t order = order_[links_[k]];
    std::uint32_t root = find(members_[begin_[order - 1]]);
    for (std::uint32_t m = begin_[order - 1] + 1; m < begin_[order]; ++m) {
      const std::uint32_t other = find(members_[m]);
      if (other == root) continue;
      parent_[std::max(other, root)] = std::min(other, root);
      root = std::min(other, root);
    }
  }
  labels.resize(n);
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t root = find(i);
    labels[i] = root == i ? count++ : labels[root];
  }
  return count;
}

void Decomposer::run(std::span<const std::uint32_t> classes, std::span<const std::uint32_t> room) {
  index_links(classes);
  choice_.resize(classes.size());
  for (std::uint32_t i = 0; i < classes.size(); ++i) choose(i, classes[i]);
  families_ = label(classes, false, family_);
  by_capacity_.assign(links_.begin(), links_.end());
  std::sort(by_capacity_.begin(), by_capacity_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return least_[a] > least_[b] || (least_[a] == least_[b] && order_[a] < order_[b]);
  });
  for (const std::uint32_t l : by_capacity_) {
    if (!can_drop(l, classes, room)) continue;
    dropped_[l] = 1;
    for (std::uint32_t m = begin_[order_[l] - 1]; m < begin_[order_[l]]; ++m) {
      const std::uint32_t i = members_[m];
      if (choice_[i].hop[0] == member_hop_[m] || choice_[i].hop[1] == member_hop_[m]) choose(i, classes[i]);
    }
  }
  components_ = label(classes, true, component_);
}

}  // namespace moesim::engine
