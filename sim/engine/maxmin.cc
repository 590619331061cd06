#include "sim/engine/maxmin.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace moesim::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Sums of integers below this are exact.
constexpr double kExact = 4503599627370496.0;  // 2^52
constexpr std::size_t kLargestTable = std::size_t{1} << 22;
constexpr std::uint32_t kUnknown = MaxMin::kNone - 1;

// To the nearest integer; 0 <= x < 2^52, or else too far from one to matter.
double rounded(double x) { return x < kExact ? (x + kExact) - kExact : x; }
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
  class_.assign(classes, {});
  hop_.clear();
  for (std::size_t c = 0; c < classes; ++c) {
    class_[c].route_begin = static_cast<std::uint32_t>(hop_.size());
    for (std::uint32_t h = problem.route_begin[c]; h < problem.route_begin[c + 1]; ++h) {
      const std::uint32_t link = problem.route_link[h];
      hop_.push_back({link, 0, std::max(1.0, rounded(problem.route_weight[h] * link_scale_[link]))});
    }
    if (const double cap = problem.rate_cap[c]; cap < kInfinity) {
      const auto k = std::lower_bound(caps.begin(), caps.end(), cap) - caps.begin();
      hop_.push_back({static_cast<std::uint32_t>(problem.links()) + static_cast<std::uint32_t>(k), 0, 1});
    }
    class_[c].route_end = static_cast<std::uint32_t>(hop_.size());
  }
  position_.assign(problem.links() + caps.size(), kNone);
  add_slots();
  colour(problem);
  for (std::size_t k = 0; k < caps.size(); ++k) cap_[position_[problem.links() + k]] = caps[k];
  place_slots();
  add_tiles(problem);

  const std::size_t positions = level_.size(), blocks = positions / kLanes;
  deg_.assign(positions, 0);
  open_deg_.assign(positions, 0);
  ratio_.assign(positions, kInfinity);
  std::fill(level_.begin(), level_.end(), 0);
  frozen_.assign(blocks + sizeof(std::uint64_t), 0);
  colour_low_.assign(colour_begin_.size() - 1, kInfinity);
  first_open_.assign(colour_begin_.begin(), colour_begin_.end() - 1);
  phase_of_.assign(positions, 0);
  frozen_order_.resize(positions);
  giving_.resize(positions);
  frozen_count_ = first_refrozen_ = 0;
  if (log_block_.size() < blocks) {
    log_.resize(2 * positions);
    log_block_.resize(blocks);
    log_previous_.resize(blocks);
  }
  std::fill_n(log_.begin(), 2 * positions, 0);
  unsettled_.assign(positions, 0);
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
      const double weight = problem.route_weight[h];
      sum[l] += problem.room[c] * weight;
      if (weight == smallest[l]) continue;
      const double units = weight / smallest[l];
      if (std::abs(units - rounded(units)) > 1e-14 * units) multiples[l] = 0;
    }
  }
  largest_deg_ = 0;
  for (std::size_t l = 0; l < problem.links(); ++l) {
    if (sum[l] == 0) continue;
    if (multiples[l] && sum[l] / smallest[l] < kExact) {
      link_scale_[l] = 1 / smallest[l];
      largest_deg_ = std::max(largest_deg_, rounded(sum[l] / smallest[l]));
    } else {
      largest_deg_ = kExact;
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
  for (const Hop& hop : hop_) ++link_begin_[hop.position + 1];
  for (std::size_t l = 0; l < links; ++l) link_begin_[l + 1] += link_begin_[l];
  link_hop_.resize(hop_.size());
  hop_class_.resize(hop_.size());
  scratch_.assign(link_begin_.begin(), link_begin_.end());
  for (std::uint32_t c = 0; c < class_.size(); ++c) {
    for (std::uint32_t h = class_[c].route_begin; h < class_[c].route_end; ++h) {
      hop_class_[h] = c;
      link_hop_[scratch_[hop_[h].position]++] = h;
    }
  }
}

// The smallest colour that none of the link's classes has met yet, for each link in order; class_colours_ holds `words`
// words of met colours for each class. Returns the number of colours, or kNone if there are not enough words for them.
std::uint32_t MaxMin::try_colours(std::size_t real_links, std::size_t words, std::vector<std::uint32_t>& colour_of) {
  class_colours_.assign(words * class_.size(), 0);
  std::uint32_t colours = 0;
  for (std::size_t l = 0; l < real_links; ++l) {
    std::uint32_t k = kNone;
    for (std::size_t w = 0; w < words && k == kNone; ++w) {
      std::uint64_t met = 0;
      for (std::uint32_t i = link_begin_[l]; i < link_begin_[l + 1]; ++i)
        met |= class_colours_[hop_class_[link_hop_[i]] * words + w];
      if (~met != 0) k = static_cast<std::uint32_t>(64 * w) + static_cast<std::uint32_t>(std::countr_one(met));
    }
    if (k == kNone) return kNone;
    for (std::uint32_t i = link_begin_[l]; i < link_begin_[l + 1]; ++i)
      class_colours_[hop_class_[link_hop_[i]] * words + k / 64] |= std::uint64_t{1} << k % 64;
    colour_of[l] = k;
    colours = std::max(colours, k + 1);
  }
  return colours;
}

// Greedy colouring in order of links; the pseudo-links, which share no class with each other, get a colour of their
// own. Within a colour, links come in order of rank.
void MaxMin::colour(const MaxMinProblem& problem) {
  const std::size_t links = position_.size(), real_links = problem.links();
  std::vector<std::uint32_t>& colour_of = scratch_;
  colour_of.resize(links);
  std::uint32_t colours = kNone;
  for (std::size_t words = 1; colours == kNone; words *= 2) colours = try_colours(real_links, words, colour_of);
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
  by_rank_.resize(links);
  for (std::uint32_t l = 0; l < links; ++l) by_rank_[l] = l;
  if (!problem.rank.empty()) {
    std::stable_sort(by_rank_.begin(), by_rank_.begin() + static_cast<std::ptrdiff_t>(real_links),
                     [&](std::uint32_t a, std::uint32_t b) { return problem.rank[a] < problem.rank[b]; });
  }
  for (const std::uint32_t l : by_rank_) position_[l] = count[colour_of[l]]++;
  level_.assign(blocks * kLanes, 0);
  cap_.assign(blocks * kLanes, kInfinity);
}

// Replaces links by positions in routes, and lays the slots out by position.
void MaxMin::place_slots() {
  const std::size_t links = position_.size(), positions = level_.size();
  slot_begin_.assign(positions + 1, 0);
  slots_of_.assign(positions, 0);
  for (std::size_t l = 0; l < links; ++l) {
    slots_of_[position_[l]] = link_begin_[l + 1] - link_begin_[l];
    slot_begin_[position_[l] + 1] = padded(link_begin_[l + 1] - link_begin_[l]);
  }
  for (std::size_t p = 0; p < positions; ++p) slot_begin_[p + 1] += slot_begin_[p];
  slot_class_.assign(slot_begin_.back(), kNone);
  for (std::size_t l = 0; l < links; ++l) {
    std::uint32_t slot = slot_begin_[position_[l]];
    for (std::uint32_t i = link_begin_[l]; i < link_begin_[l + 1]; ++i, ++slot) {
      const std::uint32_t h = link_hop_[i];
      slot_class_[slot] = hop_class_[h];
      hop_[h].slot = slot;
      hop_[h].position = position_[l];
    }
  }
}

void MaxMin::add_tiles(const MaxMinProblem& problem) {
  const std::size_t positions = level_.size(), blocks = positions / kLanes;
  run_begin_.assign(1, 0);
  runs_.clear();
  word_begin_.assign(1, 0);
  words_.clear();
  only_class_.assign(kLanes, kNone);
  std::uint32_t tiles = 1;                         // the first stays zero
  std::vector<std::uint32_t>& tile_of = scratch_;  // of a block in the row at hand
  tile_of.resize(blocks);
  met_.assign(blocks / 64 + 1, 0);
  only_run_.assign(positions, {0, 0, 0});
  // What an entry can become at most: in float, as it need not be exact.
  const bool sums = largest_deg_ > std::numeric_limits<std::uint8_t>::max() && largest_deg_ < kExact;
  float largest = 0;
  for (std::uint32_t p = 0; p < positions; ++p) {
    const std::uint32_t own = p / kLanes;
    const std::uint32_t* const first = slot_class_.data() + slot_begin_[p];
    const std::uint32_t* const last = first + slots_of_[p];
    for (const std::uint32_t* c = first; c != last; ++c)
      for (std::uint32_t h = class_[*c].route_begin; h < class_[*c].route_end; ++h)
        met_[hop_[h].position / (kLanes * 64)] |= std::uint64_t{1} << hop_[h].position / kLanes % 64;
    met_[own / 64] &= ~(std::uint64_t{1} << own % 64);  // nobody shares a class with a link of its own colour
    for (std::size_t w = 0; w < met_.size(); ++w) {
      for (std::uint64_t bits = std::exchange(met_[w], 0); bits != 0; bits &= bits - 1) {
        const auto block = static_cast<std::uint32_t>(64 * w) + static_cast<std::uint32_t>(std::countr_zero(bits));
        constexpr std::uint32_t kGap = 2;  // tiles of zeros are cheaper than a new run
        const bool fresh = runs_.size() == run_begin_.back();
        if (fresh || block - (runs_.back().block + runs_.back().length) > kGap) runs_.push_back({tiles, block, 0});
        const std::uint32_t length = block - runs_.back().block + 1;
        tiles += length - runs_.back().length;
        runs_.back().length = length;
        tile_of[block] = tiles - 1;
      }
    }
    only_class_.resize(tiles * kLanes, kUnknown);
    if (sums) entry_sum_.assign(blocks * kLanes, 0);
    for (const std::uint32_t* c = first; c != last; ++c) {
      for (std::uint32_t h = class_[*c].route_begin; h < class_[*c].route_end; ++h) {
        const std::uint32_t other = hop_[h].position;
        if (other == p) continue;
        std::uint32_t& only = only_class_[tile_of[other / kLanes] * kLanes + other % kLanes];
        only = only == kUnknown ? *c : kNone;
        if (!sums) continue;
        float& sum = entry_sum_[other];
        sum += static_cast<float>(problem.room[*c] * hop_[h].weight);
        largest = std::max(largest, sum);
      }
    }
    for (std::uint32_t r = run_begin_.back(); r < runs_.size(); ++r) {
      const auto [tile, block, length] = runs_[r];
      for (std::uint32_t k = 0; k < length; k += 8) {
        const std::uint32_t bytes = length - k;
        words_.push_back({tile + k, block + k, bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * bytes) - 1});
      }
      if (!only_run_.empty()) only_run_[p] = runs_[r];
    }
    if (runs_.size() > run_begin_.back() + 1) only_run_.clear();
    run_begin_.push_back(static_cast<std::uint32_t>(runs_.size()));
    word_begin_.push_back(static_cast<std::uint32_t>(words_.size()));
  }
  entry_at_.assign(only_run_.empty() && positions * blocks <= kLargestTable ? positions * blocks : 0, 0);
  if (!entry_at_.empty()) {
    for (std::uint32_t p = 0; p < positions; ++p) {
      for (std::uint32_t r = run_begin_[p]; r < run_begin_[p + 1]; ++r) {
        const auto [tile, block, length] = runs_[r];
        for (std::uint32_t k = 0; k < length; ++k) entry_at_[p * blocks + block + k] = kLanes * (tile + k);
      }
    }
  }
  const double most = sums ? static_cast<double>(largest) * 1.001 : largest_deg_;
  weight_.clear();
  weight8_.clear();
  weight16_.clear();
  if (most <= std::numeric_limits<std::uint8_t>::max())
    weight8_.assign(tiles * kLanes, 0);
  else if (most <= std::numeric_limits<std::uint16_t>::max())
    weight16_.assign(tiles * kLanes, 0);
  else
    weight_.assign(tiles * kLanes, 0);
  row_.assign(tiles + sizeof(std::uint64_t), 0);
  column_.assign(tiles + sizeof(std::uint64_t), 0);
}

// M's entry after the change.
inline double MaxMin::add_weight(std::size_t entry, double flows) {
  if (!weight8_.empty()) return weight8_[entry] = static_cast<std::uint8_t>(weight8_[entry] + flows);
  if (!weight16_.empty()) return weight16_[entry] = static_cast<std::uint16_t>(weight16_[entry] + flows);
  return weight_[entry] += flows;
}

// Adds `flows` times the class's weights to (or, negative, takes them from) what the group of `hop` consumes elsewhere.
void MaxMin::change(std::uint32_t klass, std::uint32_t hop, double flows) {
  const std::uint32_t p = hop_[hop].position, end = class_[klass].route_end;
  const auto own_block = static_cast<std::uint32_t>(p / kLanes), own_lane = static_cast<std::uint32_t>(p % kLanes);
  const std::size_t blocks = current_.size();
  const auto tile_at = [&](std::uint32_t position, std::uint32_t block) {
    if (!only_run_.empty()) return only_run_[position].tile + (block - only_run_[position].block);
    if (!entry_at_.empty()) return entry_at_[position * blocks + block] / static_cast<std::uint32_t>(kLanes);
    return find_tile(position, block);
  };
  for (std::uint32_t h = class_[klass].route_begin; h < end; ++h) {
    if (h == hop) continue;
    const std::uint32_t other = hop_[h].position;
    const auto block = static_cast<std::uint32_t>(other / kLanes), lane = static_cast<std::uint32_t>(other % kLanes);
    const std::uint32_t there = tile_at(p, block), back = tile_at(other, own_block);
    const double after = add_weight(there * kLanes + lane, flows * hop_[h].weight);
    const std::uint32_t none = after == 0;
    row_[there] = static_cast<std::uint8_t>((row_[there] | 1u << lane) & ~(none << lane));
    column_[back] = static_cast<std::uint8_t>((column_[back] | 1u << own_lane) & ~(none << own_lane));
  }
}

void MaxMin::change_deg(std::uint32_t klass, double flows) {
  for (std::uint32_t h = class_[klass].route_begin; h < class_[klass].route_end; ++h) {
    const std::uint32_t p = hop_[h].position;
    deg_[p] += flows * hop_[h].weight;
    if (open_deg_[p] == -kInfinity) continue;
    open_deg_[p] = deg_[p];
    touch_block(p / kLanes);
  }
}

// A class without flows gets a group only when the next solve freezes a link of its route.
void MaxMin::add(std::uint32_t klass, std::uint32_t flows) {
  if (class_[klass].flows == 0) count_unsettled(klass, 1);
  class_[klass].flows += flows;
  if (class_[klass].group != kNone) change(klass, class_[klass].group, flows);
  change_deg(klass, flows);
  restart_ = 0;
}

void MaxMin::remove(std::uint32_t klass, std::uint32_t flows) {
  const std::uint32_t hop = class_[klass].group;
  if (hop != kNone) {
    restart_ = std::min(restart_, phase_of_[hop_[hop].position]);
    change(klass, hop, -static_cast<double>(flows));
  }
  change_deg(klass, -static_cast<double>(flows));
  class_[klass].flows -= flows;
  if (class_[klass].flows > 0) return;
  if (hop == kNone) count_unsettled(klass, -1);
  class_[klass].group = kNone;
}

void MaxMin::count_unsettled(std::uint32_t klass, std::int32_t change) {
  for (std::uint32_t h = class_[klass].route_begin; h < class_[klass].route_end; ++h)
    unsettled_[hop_[h].position] += change;
}

void MaxMin::set_capacity(std::uint32_t link, double capacity) {
  const std::uint32_t p = position_[link];
  log_[p / kLanes * 2 * kLanes + p % kLanes] = capacity * link_scale_[link];
  touch_block(p / kLanes);
  restart_ = 0;
}

// Moves the class to the group of `position`, which its route crosses.
void MaxMin::move(std::uint32_t klass, std::uint32_t position) {
  const std::uint32_t from = class_[klass].group;
  std::uint32_t to = class_[klass].route_begin;
  while (hop_[to].position != position) ++to;
  if (from == kNone) {
    count_unsettled(klass, -1);
  } else {
    change(klass, from, -static_cast<double>(class_[klass].flows));
  }
  change(klass, to, class_[klass].flows);
  class_[klass].group = to;
  moves_.push_back({klass, from, to});
}

// Of the classes that cross `position`, those whose group is not frozen, or which have none yet.
void MaxMin::move_crossing(std::uint32_t position) {
  for (std::uint32_t slot = slot_begin_[position]; slot < slot_begin_[position + 1]; ++slot) {
    const std::uint32_t c = slot_class_[slot];
    if (c == kNone) break;
    if (class_[c].group == kNone) {
      if (class_[c].flows > 0) move(c, position);
      continue;
    }
    const std::uint32_t p = hop_[class_[c].group].position;
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
