#include "sim/engine/maxmin.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"

namespace moesim::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Sums of integers below this are exact.
constexpr double kExact = 4503599627370496.0;  // 2^52
constexpr std::size_t kLargestTable = std::size_t{1} << 22;
constexpr std::uint32_t kUnknown = MaxMin::kNone - 1;

std::uint32_t padded(std::uint32_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

}  // namespace

std::string certificate(const MaxMinProblem& problem, std::span<const std::uint32_t> flows,
                        std::span<const double> rate, double tolerance) {
  std::vector<double> load(problem.links()), fastest(problem.links());
  const auto each_hop = [&](std::size_t c, auto visit) {
    for (std::uint32_t h = problem.route_begin[c]; h < problem.route_begin[c + 1]; ++h) visit(problem.route_link[h], h);
  };
  for (std::size_t c = 0; c < problem.classes(); ++c) {
    if (flows[c] == 0) continue;
    each_hop(c, [&](std::uint32_t l, std::uint32_t h) {
      load[l] += flows[c] * problem.route_weight[h] * rate[c];
      fastest[l] = std::max(fastest[l], rate[c]);
    });
  }
  for (std::size_t l = 0; l < load.size(); ++l)
    if (load[l] > problem.capacity[l] * (1 + tolerance)) return "link " + std::to_string(l) + " is above its capacity";
  for (std::size_t c = 0; c < problem.classes(); ++c) {
    if (flows[c] == 0) continue;
    if (rate[c] > problem.rate_cap[c] * (1 + tolerance)) return "class " + std::to_string(c) + " is above its cap";
    bool stopped = rate[c] >= problem.rate_cap[c] * (1 - tolerance);
    each_hop(c, [&](std::uint32_t l, std::uint32_t) {
      stopped |= load[l] >= problem.capacity[l] * (1 - tolerance) && rate[c] >= fastest[l] * (1 - tolerance);
    });
    if (!stopped) return "class " + std::to_string(c) + " has no bottleneck";
  }
  return "";
}

VectorWidth widest_vectors() {
  if (__builtin_cpu_supports("avx512f")) return VectorWidth::Avx512;
  return __builtin_cpu_supports("avx2") ? VectorWidth::Avx2 : VectorWidth::Sse2;
}

void MaxMin::build(const MaxMinProblem& problem) {
  const std::size_t classes = problem.classes();
  // Routes as links, with the pseudo-link of the cap at the end.
  std::vector<double> caps;
  for (const double cap : problem.rate_cap)
    if (cap < kInfinity) caps.push_back(cap);
  std::sort(caps.begin(), caps.end());
  caps.erase(std::unique(caps.begin(), caps.end()), caps.end());
  scale(problem);
  route_begin_.assign(1, 0);
  route_position_.clear();
  route_weight_.clear();
  for (std::size_t c = 0; c < classes; ++c) {
    for (std::uint32_t h = problem.route_begin[c]; h < problem.route_begin[c + 1]; ++h) {
      const std::uint32_t link = problem.route_link[h];
      route_position_.push_back(link);
      route_weight_.push_back(std::max(1.0, std::nearbyint(problem.route_weight[h] * link_scale_[link])));
    }
    if (const double cap = problem.rate_cap[c]; cap < kInfinity) {
      const auto k = std::lower_bound(caps.begin(), caps.end(), cap) - caps.begin();
      route_position_.push_back(static_cast<std::uint32_t>(problem.links()) + static_cast<std::uint32_t>(k));
      route_weight_.push_back(1);
    }
    route_begin_.push_back(static_cast<std::uint32_t>(route_position_.size()));
  }
  position_.assign(problem.links() + caps.size(), kNone);
  add_slots();
  colour(problem.links());
  for (std::size_t k = 0; k < caps.size(); ++k) cap_[position_[problem.links() + k]] = caps[k];
  place_slots();
  add_tiles();

  const std::size_t positions = level_.size(), blocks = positions / kLanes;
  flows_.assign(classes, 0);
  group_.assign(classes, kNone);
  deg_.assign(positions, 0);
  open_deg_.assign(positions, 0);
  ratio_.assign(positions, kInfinity);
  std::fill(level_.begin(), level_.end(), 0);
  frozen_.assign(blocks + sizeof(std::uint64_t), 0);
  colour_low_.assign(colour_begin_.size() - 1, kInfinity);
  phase_of_.assign(positions, 0);
  frozen_order_.resize(positions);
  giving_.resize(positions);
  frozen_count_ = first_refrozen_ = 0;
  log_.assign(2 * positions, 0);
  log_block_.resize(blocks);
  log_previous_.resize(blocks);
  current_.resize(blocks);
  for (std::uint32_t b = 0; b < blocks; ++b) current_[b] = log_previous_[b] = log_block_[b] = b;
  log_top_ = static_cast<std::uint32_t>(blocks);
  phase_log_.assign(positions + 1, log_top_);
  phase_frozen_.assign(positions + 1, 0);
  touched_blocks_.assign(blocks / 64 + 2, 0);
  num_phases_ = 0;
  work_ = 0;
  restart_ = kNone;
  moves_.clear();
  for (std::uint32_t l = 0; l < problem.links(); ++l) set_capacity(l, problem.capacity[l]);
}

// Factors that make a link's weights integers.
void MaxMin::scale(const MaxMinProblem& problem) {
  link_scale_.assign(problem.links(), 1);
  std::vector<double> smallest(problem.links(), kInfinity), sum(problem.links(), 0);
  std::vector<char> multiples(problem.links(), 1);
  const std::size_t hops = problem.route_link.size();
  for (std::size_t h = 0; h < hops; ++h) {
    double& least = smallest[problem.route_link[h]];
    least = std::min(least, problem.route_weight[h]);
  }
  for (std::size_t c = 0; c < problem.classes(); ++c) {
    for (std::uint32_t h = problem.route_begin[c]; h < problem.route_begin[c + 1]; ++h) {
      const std::uint32_t l = problem.route_link[h];
      const double weight = problem.route_weight[h], units = weight / smallest[l];
      sum[l] += problem.room[c] * weight;
      if (std::abs(units - std::nearbyint(units)) > 1e-14 * units) multiples[l] = 0;
    }
  }
  for (std::size_t l = 0; l < problem.links(); ++l) {
    if (sum[l] == 0) continue;
    if (multiples[l] && sum[l] / smallest[l] < kExact) {
      link_scale_[l] = 1 / smallest[l];
    } else {
      int exponent = 0;
      std::frexp(sum[l], &exponent);  // sum < 2^exponent
      link_scale_[l] = std::ldexp(1.0, 51 - exponent);
    }
  }
}

// Slots by link, in order of class: slot_begin_ and slot_class_ by link, unpadded, for colour(); place_slots()
// reorders.
void MaxMin::add_slots() {
  const std::size_t links = position_.size();
  link_begin_.assign(links + 1, 0);
  for (const std::uint32_t l : route_position_) ++link_begin_[l + 1];
  for (std::size_t l = 0; l < links; ++l) link_begin_[l + 1] += link_begin_[l];
  link_hop_.resize(route_position_.size());
  hop_class_.resize(route_position_.size());
  scratch_.assign(link_begin_.begin(), link_begin_.end());
  for (std::uint32_t c = 0; c + 1 < route_begin_.size(); ++c) {
    for (std::uint32_t h = route_begin_[c]; h < route_begin_[c + 1]; ++h) {
      hop_class_[h] = c;
      link_hop_[scratch_[route_position_[h]]++] = h;
    }
  }
}

// Greedy colouring in order of links; the pseudo-links, which share no class with each other, get a colour of their
// own.
void MaxMin::colour(std::size_t real_links) {
  const std::size_t links = position_.size();
  std::vector<std::uint32_t>& colour_of = scratch_;
  colour_of.assign(links, kNone);
  mark_.assign(links + 1, kNone);
  std::uint32_t colours = 0;
  for (std::uint32_t l = 0; l < real_links; ++l) {
    for (std::uint32_t i = link_begin_[l]; i < link_begin_[l + 1]; ++i) {
      const std::uint32_t c = hop_class_[link_hop_[i]];
      for (std::uint32_t h = route_begin_[c]; h < route_begin_[c + 1]; ++h)
        if (const std::uint32_t k = colour_of[route_position_[h]]; k != kNone) mark_[k] = l;
    }
    std::uint32_t k = 0;
    while (mark_[k] == l) ++k;
    colour_of[l] = k;
    colours = std::max(colours, k + 1);
  }
  const std::uint32_t cap_colour = colours;
  if (links > real_links) ++colours;
  for (std::size_t l = real_links; l < links; ++l) colour_of[l] = cap_colour;

  std::vector<std::uint32_t> count(colours, 0);
  for (const std::uint32_t k : colour_of) ++count[k];
  colour_begin_.assign(1, 0);
  for (std::uint32_t k = 0; k < colours; ++k)
    colour_begin_.push_back(colour_begin_[k] + padded(count[k]) / static_cast<std::uint32_t>(kLanes));
  const std::uint32_t blocks = colour_begin_.back();
  first_cap_block_ = links > real_links ? colour_begin_[cap_colour] : blocks;
  colour_bit_.resize(blocks);
  for (std::uint32_t k = 0; k < colours; ++k) {
    count[k] = colour_begin_[k] * static_cast<std::uint32_t>(kLanes);  // now: the next position
    std::fill(colour_bit_.begin() + colour_begin_[k], colour_bit_.begin() + colour_begin_[k + 1],
              std::uint64_t{1} << std::min(k, 63u));
  }
  for (std::size_t l = 0; l < links; ++l) position_[l] = count[colour_of[l]]++;
  level_.assign(blocks * kLanes, 0);
  cap_.assign(blocks * kLanes, kInfinity);
}

// Replaces links by positions in routes, and lays the slots out by position.
void MaxMin::place_slots() {
  const std::size_t links = position_.size(), positions = level_.size();
  slot_begin_.assign(positions + 1, 0);
  for (std::size_t l = 0; l < links; ++l) slot_begin_[position_[l] + 1] = padded(link_begin_[l + 1] - link_begin_[l]);
  for (std::size_t p = 0; p < positions; ++p) slot_begin_[p + 1] += slot_begin_[p];
  slot_class_.assign(slot_begin_.back(), kNone);
  route_slot_.resize(route_position_.size());
  for (std::size_t l = 0; l < links; ++l) {
    std::uint32_t slot = slot_begin_[position_[l]];
    for (std::uint32_t i = link_begin_[l]; i < link_begin_[l + 1]; ++i, ++slot) {
      const std::uint32_t h = link_hop_[i];
      slot_class_[slot] = hop_class_[h];
      route_slot_[h] = slot;
      route_position_[h] = position_[l];
    }
  }
}

void MaxMin::add_tiles() {
  const std::size_t positions = level_.size(), classes = route_begin_.size() - 1;
  pair_begin_.resize(classes);
  std::uint32_t pairs = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    const std::uint32_t hops = route_begin_[c + 1] - route_begin_[c];
    pair_begin_[c] = pairs;
    pairs += hops * hops;
  }
  pair_entry_.resize(pairs);
  run_begin_.assign(1, 0);
  runs_.clear();
  only_class_.assign(kLanes, kNone);
  std::uint32_t tiles = 1;                                             // the first stays zero
  std::vector<std::uint32_t>&tile_of = scratch_, &touched = touched_;  // of a block in the row at hand
  mark_.assign(positions / kLanes, kNone);                             // the row that last touched the block
  tile_of.resize(positions / kLanes);
  const auto each_pair = [&](std::uint32_t p, auto visit) {  // (class, pair, position) of what shares a class with p
    for (std::uint32_t slot = slot_begin_[p]; slot < slot_begin_[p + 1] && slot_class_[slot] != kNone; ++slot) {
      const std::uint32_t c = slot_class_[slot], begin = route_begin_[c], hops = route_begin_[c + 1] - begin;
      std::uint32_t own = 0;
      while (route_position_[begin + own] != p) ++own;
      for (std::uint32_t j = 0; j < hops; ++j)
        if (j != own) visit(c, pair_begin_[c] + own * hops + j, route_position_[begin + j]);
    }
  };
  for (std::uint32_t p = 0; p < positions; ++p) {
    touched.clear();
    each_pair(p, [&](std::uint32_t, std::uint32_t, std::uint32_t other) {
      const auto block = static_cast<std::uint32_t>(other / kLanes);
      if (mark_[block] == p) return;
      mark_[block] = p;
      touched.push_back(block);
    });
    std::sort(touched.begin(), touched.end());
    for (const std::uint32_t block : touched) {
      constexpr std::uint32_t kGap = 2;  // tiles of zeros are cheaper than a new run
      const bool fresh = runs_.size() == run_begin_.back();
      if (fresh || block - (runs_.back().block + runs_.back().length) > kGap) runs_.push_back({tiles, block, 0});
      const std::uint32_t length = block - runs_.back().block + 1;
      tiles += length - runs_.back().length;
      runs_.back().length = length;
      tile_of[block] = tiles - 1;
    }
    run_begin_.push_back(static_cast<std::uint32_t>(runs_.size()));
    only_class_.resize(tiles * kLanes, kUnknown);
    each_pair(p, [&](std::uint32_t c, std::uint32_t pair, std::uint32_t other) {
      const auto entry = static_cast<std::uint32_t>(tile_of[other / kLanes] * kLanes + other % kLanes);
      pair_entry_[pair] = entry;
      only_class_[entry] = only_class_[entry] == kUnknown ? c : kNone;
    });
  }
  word_begin_.assign(1, 0);
  words_.clear();
  for (std::size_t p = 0; p < positions; ++p) {
    for (std::uint32_t r = run_begin_[p]; r < run_begin_[p + 1]; ++r) {
      for (std::uint32_t k = 0; k < runs_[r].length; k += 8) {
        const std::uint32_t bytes = runs_[r].length - k;
        words_.push_back({runs_[r].tile + k, runs_[r].block + k,
                          bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * bytes) - 1});
      }
    }
    word_begin_.push_back(static_cast<std::uint32_t>(words_.size()));
  }
  const std::size_t blocks = positions / kLanes;
  entry_at_.assign(positions * blocks <= kLargestTable ? positions * blocks : 0, 0);
  for (std::size_t p = 0; p < positions && !entry_at_.empty(); ++p)
    for (std::uint32_t r = run_begin_[p]; r < run_begin_[p + 1]; ++r)
      for (std::uint32_t k = 0; k < runs_[r].length; ++k)
        entry_at_[p * blocks + runs_[r].block + k] = kLanes * (runs_[r].tile + k);
  weight_.assign(tiles * kLanes, 0);
  row_.assign(tiles + sizeof(std::uint64_t), 0);
  column_.assign(tiles + sizeof(std::uint64_t), 0);
}

// Adds `flows` times the class's weights to (or, negative, takes them from) what the group of `hop` consumes elsewhere.
void MaxMin::change(std::uint32_t klass, std::uint32_t hop, double flows) {
  const std::uint32_t begin = route_begin_[klass], hops = route_begin_[klass + 1] - begin, own = hop - begin;
  const std::uint32_t* pair = &pair_entry_[pair_begin_[klass]];
  for (std::uint32_t j = 0; j < hops; ++j) {
    if (j == own) continue;
    const std::uint32_t entry = pair[own * hops + j], back = pair[j * hops + own];
    const double after = weight_[entry] += flows * route_weight_[begin + j];
    const auto row_bit = static_cast<std::uint8_t>(1u << entry % kLanes);
    const auto column_bit = static_cast<std::uint8_t>(1u << back % kLanes);
    if (after != 0) {
      row_[entry / kLanes] |= row_bit;
      column_[back / kLanes] |= column_bit;
    } else {
      row_[entry / kLanes] &= static_cast<std::uint8_t>(~row_bit);
      column_[back / kLanes] &= static_cast<std::uint8_t>(~column_bit);
    }
  }
}

void MaxMin::change_deg(std::uint32_t klass, double flows) {
  for (std::uint32_t h = route_begin_[klass]; h < route_begin_[klass + 1]; ++h) {
    const std::uint32_t p = route_position_[h];
    deg_[p] += flows * route_weight_[h];
    if (open_deg_[p] == -kInfinity) continue;
    open_deg_[p] = deg_[p];
    touch_block(p / kLanes);
  }
}

void MaxMin::add(std::uint32_t klass, std::uint32_t flows) {
  if (flows_[klass] == 0) group_[klass] = route_begin_[klass];  // until solve() moves it
  flows_[klass] += flows;
  change(klass, group_[klass], flows);
  change_deg(klass, flows);
  restart_ = 0;
}

void MaxMin::remove(std::uint32_t klass, std::uint32_t flows) {
  restart_ = std::min(restart_, phase_of_[route_position_[group_[klass]]]);
  change(klass, group_[klass], -static_cast<double>(flows));
  change_deg(klass, -static_cast<double>(flows));
  flows_[klass] -= flows;
  if (flows_[klass] == 0) group_[klass] = kNone;
}

void MaxMin::set_capacity(std::uint32_t link, double capacity) {
  const std::uint32_t p = position_[link];
  log_[p / kLanes * 2 * kLanes + p % kLanes] = capacity * link_scale_[link];
  touch_block(p / kLanes);
  restart_ = 0;
}

// Moves the class to the group of `position`, which its route crosses.
void MaxMin::move(std::uint32_t klass, std::uint32_t position) {
  const std::uint32_t from = group_[klass];
  std::uint32_t to = route_begin_[klass];
  while (route_position_[to] != position) ++to;
  change(klass, from, -static_cast<double>(flows_[klass]));
  change(klass, to, flows_[klass]);
  group_[klass] = to;
  moves_.push_back({klass, from, to});
}

// Of the classes that cross `position`, those whose group is not frozen.
void MaxMin::move_crossing(std::uint32_t position) {
  for (std::uint32_t slot = slot_begin_[position]; slot < slot_begin_[position + 1]; ++slot) {
    const std::uint32_t c = slot_class_[slot];
    if (c == kNone) break;
    if (group_[c] == kNone) continue;
    const std::uint32_t p = route_position_[group_[c]];
    if (!(frozen_[p / kLanes] >> p % kLanes & 1)) move(c, position);
  }
}

// The groups behind `lanes`, of eight tiles of the row of `position` from `tile` on, are not frozen and consume of the
// link at `position`, which is frozen just now: their classes that cross it move to it.
void MaxMin::join(std::uint32_t position, std::uint32_t tile, std::uint64_t lanes) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const std::uint32_t c = only_class_[tile * kLanes + static_cast<std::uint32_t>(std::countr_zero(lanes))];
    if (c == kNone) return move_crossing(position);  // all the rest as well
    move(c, position);
  }
}

}  // namespace moesim::engine
