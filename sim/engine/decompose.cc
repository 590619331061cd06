#include "sim/engine/decompose.h"

#include <algorithm>
#include <limits>

namespace moesim::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

}  // namespace

Decomposer::Decomposer(std::vector<double> least, std::vector<double> most)
    : least_(std::move(least)), most_(std::move(most)) {
  dropped_.assign(least_.size(), 0);
  order_.assign(least_.size(), 0);
  vouched_.assign(least_.size(), 0);
}

void Decomposer::index_links(const Routes& routes, std::span<const std::uint32_t> classes) {
  for (const std::uint32_t l : links_) order_[l] = 0;
  links_.clear();
  begin_.assign(1, 0);
  for (const std::uint32_t c : classes) {
    for (std::uint32_t h = routes.begin[c]; h < routes.begin[c + 1]; ++h) {
      const std::uint32_t l = routes.link[h];
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
    for (std::uint32_t h = routes.begin[classes[i]]; h < routes.begin[classes[i] + 1]; ++h) {
      const std::uint32_t at = --begin_[order_[routes.link[h]]];
      members_[at] = i;
      member_hop_[at] = h;
    }
  }
  // begin_[k] is now where the members of links_[k - 1] begin: shift to the usual form.
  begin_.erase(begin_.begin());
  begin_.push_back(static_cast<std::uint32_t>(members_.size()));
}

// Whom each class names as its voucher is free; this takes one that vouches already, else the tightest, else the
// nearest in its route (all flows that leave a NVLink relay came by one NIC, but from many).
bool Decomposer::can_drop(const Routes& routes, std::uint32_t link, std::span<const std::uint32_t> classes,
                          std::span<const std::uint32_t> room) {
  if (least_[link] != most_[link]) return false;
  const double capacity = least_[link];
  double sum = 0;
  vouching_.clear();
  for (std::uint32_t m = begin_[order_[link] - 1]; m < begin_[order_[link]] && sum <= capacity; ++m) {
    const std::uint32_t own = member_hop_[m], c = classes[members_[m]];
    const double weight = routes.weight[own];
    double tightest = kInfinity;
    std::uint32_t voucher = kNone, distance = kNone;
    bool vouched = false;
    for (std::uint32_t h = routes.begin[c]; h < routes.begin[c + 1] && !vouched; ++h) {
      const std::uint32_t s = routes.link[h];
      if (h == own || dropped_[s]) continue;
      vouched = vouched_[s] * routes.weight[h] >= weight;
      const double rate = most_[s] / routes.weight[h];
      const std::uint32_t far = h > own ? h - own : own - h;
      if (rate > tightest || (rate == tightest && far >= distance)) continue;
      tightest = rate;
      voucher = h;
      distance = far;
    }
    if (vouched) continue;
    if (const double capped = room[c] * routes.rate_cap[c]; voucher == kNone || capped < tightest) {
      sum += capped * weight;
      continue;
    }
    const std::uint32_t s = routes.link[voucher];
    const double ratio = weight / routes.weight[voucher];
    if (vouched_[s] == 0) vouching_.push_back(s);
    sum += most_[s] * (ratio - vouched_[s]);
    vouched_[s] = ratio;
  }
  for (const std::uint32_t s : vouching_) vouched_[s] = 0;
  return sum <= capacity;
}

std::uint32_t Decomposer::find(std::uint32_t i) {
  while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
  return i;
}

std::uint32_t Decomposer::label(std::size_t classes, bool kept_only, std::vector<std::uint32_t>& labels) {
  const auto n = static_cast<std::uint32_t>(classes);
  parent_.resize(n);
  for (std::uint32_t i = 0; i < n; ++i) parent_[i] = i;
  for (const std::uint32_t link : links_) {
    if (kept_only && dropped_[link]) continue;
    const std::uint32_t order = order_[link];
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

void Decomposer::drop(const Routes& routes, std::span<const std::uint32_t> classes,
                      std::span<const std::uint32_t> room) {
  by_capacity_.assign(links_.begin(), links_.end());
  std::sort(by_capacity_.begin(), by_capacity_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return least_[a] > least_[b] || (least_[a] == least_[b] && order_[a] < order_[b]);
  });
  for (const std::uint32_t l : by_capacity_) dropped_[l] = can_drop(routes, l, classes, room) ? 1 : 0;
}

void Decomposer::run(const Routes& routes, std::span<const std::uint32_t> classes,
                     std::span<const std::uint32_t> room) {
  index_links(routes, classes);
  families_ = label(classes.size(), false, family_);
  drop(routes, classes, room);
  components_ = label(classes.size(), true, component_);
}

void Decomposer::run_components(const Routes& routes, std::span<const std::uint32_t> classes,
                                std::span<const std::uint32_t> room) {
  index_links(routes, classes);
  families_ = 1;
  family_.assign(classes.size(), 0);
  drop(routes, classes, room);
  components_ = label(classes.size(), true, component_);
}

}  // namespace moesim::engine
