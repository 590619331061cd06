#include "sim/engine/fluid_component.h"

#include <algorithm>

namespace moesim::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Ends closer than this, relative to their time, are one moment.
constexpr double kSameTime = 1e-12;

inline double lowest_of_lanes(const double* x) {
  const double a = std::min(x[0], x[4]), b = std::min(x[1], x[5]);
  const double c = std::min(x[2], x[6]), d = std::min(x[3], x[7]);
  return std::min(std::min(a, b), std::min(c, d));
}

// Element-wise arithmetic and minima: every clone computes the same bits.
[[gnu::target_clones("avx512f", "avx2", "default")]] void refresh_blocks(const std::vector<std::uint32_t>& blocks,
                                                                         const double* steps, double clock,
                                                                         const double* level, const double* head,
                                                                         double* v, double* speed, double* end,
                                                                         double* block_end) {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::size_t first = blocks[i] * kLanes;
    const double step = steps[i];
    double ends[kLanes];
    for (std::size_t p = 0; p < kLanes; ++p) {
      v[first + p] += speed[first + p] * step;
      speed[first + p] = level[first + p];
      const double at = clock + (head[first + p] - v[first + p]) / speed[first + p];
      // No number: nothing left, but no progress either. (clang-tidy takes an infinity for a narrowed constant.)
      ends[p] = at < kInfinity ? at : kInfinity;  // NOLINT(bugprone-narrowing-conversions)
    }
    for (std::size_t p = 0; p < kLanes; ++p) end[first + p] = ends[p];
    block_end[blocks[i]] = lowest_of_lanes(ends);
  }
}

}  // namespace

void FluidComponent::build(const MaxMinProblem& problem, double now) {
  clock_ = now;
  next_ = kInfinity;
  members_.assign(problem.classes(), {});
  due_.clear();
  classes_with_flows_ = 0;
  lone_.is = problem.classes() == 1;
  if (lone_.is) return build_lone(problem);
  rates_.build(problem);
  const std::size_t positions = rates_.positions(), blocks = positions / kLanes;
  virtual_.assign(positions, 0);
  speed_.assign(positions, 0);
  head_.assign(positions, kInfinity);
  end_.assign(positions, kInfinity);
  since_.assign(blocks, now);
  block_end_.assign(blocks, kInfinity);
  slot_.assign(rates_.slots(), kInfinity);
  is_stale_.assign(positions, 0);
  stale_.clear();
  is_touched_.assign(blocks, 0);
  touched_.clear();
}

void FluidComponent::build_lone(const MaxMinProblem& problem) {
  lone_.capacity = problem.capacity;
  lone_.weight.resize(problem.links());
  for (std::size_t h = 0; h < problem.route_link.size(); ++h)
    lone_.weight[problem.route_link[h]] = problem.route_weight[h];
  lone_.rate_cap = problem.rate_cap[0];
  lone_.flows = 0;
  lone_.rate = lone_.progress = 0;
  lone_.since = clock_;
}

void FluidComponent::touch(std::uint32_t position) {
  const auto block = static_cast<std::uint32_t>(position / kLanes);
  if (is_touched_[block]) return;
  is_touched_[block] = 1;
  touched_.push_back(block);
}

// Writes the class's slot in its group.
void FluidComponent::put(std::uint32_t klass) {
  const std::uint32_t hop = rates_.group(klass), p = rates_.route_position(hop);
  const double end = members_[klass].tag - members_[klass].offset;
  slot_[rates_.route_slot(hop)] = end;
  head_[p] = std::min(head_[p], end);
  touch(p);
}

// It has no group before the next solve, hence no virtual time but its own.
void FluidComponent::adopt(const FlowHeaps& flows, std::uint32_t klass, std::uint32_t heap, std::uint32_t count,
                           double progress, double since) {
  lone_.is ? void(lone_.flows = count) : rates_.add(klass, count);
  ++classes_with_flows_;
  members_[klass] = {lone_.is ? progress - lone_now() : progress, flows.tag(heap), since, heap};
}

void FluidComponent::add(FlowHeaps& flows, std::uint32_t klass, double amount, std::uint32_t exchange,
                         std::uint32_t index) {
  Member& member = members_[klass];
  if (member.heap == FlowHeaps::kNone) {
    return adopt(flows, klass, flows.create(amount, exchange, index), 1, 0, clock_);
  }
  lone_.is ? void(++lone_.flows) : rates_.add(klass);
  member.since = clock_;
  member.heap = flows.merge(member.heap, flows.create(progress(klass) + amount, exchange, index));
  member.tag = flows.tag(member.heap);
  if (!lone_.is && rates_.group(klass) != MaxMin::kNone) put(klass);
}

void FluidComponent::rescan(std::uint32_t position) {
  const double* slot = slot_.data();
  const std::uint32_t begin = rates_.slot_begin(position), end = rates_.slot_begin(position + 1);
  double low[kLanes];
  std::fill_n(low, kLanes, kInfinity);
  for (std::uint32_t s = begin; s < end; s += kLanes)
    for (std::uint32_t i = 0; i < kLanes; ++i) low[i] = slot[s + i] < low[i] ? slot[s + i] : low[i];
  head_[position] = lowest_of_lanes(low);
  touch(position);
}

// Carries the classes that moved over to the virtual time of their new group.
void FluidComponent::regroup() {
  for (const MaxMin::Move& move : rates_.moves()) {
    const std::uint32_t to = rates_.route_position(move.to);
    if (move.from == MaxMin::kNone) {
      members_[move.klass].offset -= virtual_now(to);
      put(move.klass);
      continue;
    }
    const std::uint32_t from = rates_.route_position(move.from);
    double& old_slot = slot_[rates_.route_slot(move.from)];
    if (old_slot == head_[from] && !is_stale_[from]) {
      is_stale_[from] = 1;
      stale_.push_back(from);
    }
    old_slot = kInfinity;
    members_[move.klass].offset += virtual_now(from) - virtual_now(to);
    put(move.klass);
  }
  for (const std::uint32_t p : stale_) {
    rescan(p);
    is_stale_[p] = 0;
  }
  stale_.clear();
}

// Brings V, speed and the first ends of the touched blocks up to date.
void FluidComponent::refresh() {
  const std::size_t n = touched_.size();
  steps_.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    steps_[i] = clock_ - since_[touched_[i]];
    since_[touched_[i]] = clock_;
    is_touched_[touched_[i]] = 0;
  }
  refresh_blocks(touched_, steps_.data(), clock_, rates_.levels(), head_.data(), virtual_.data(), speed_.data(),
                 end_.data(), block_end_.data());
  touched_.clear();
}

// Notes the slots of `position` that end up to `limit`.
void FluidComponent::find_slots(std::uint32_t position, double limit) {
  const double* slot = slot_.data();
  const std::uint32_t end = rates_.slot_begin(position + 1);
  for (std::uint32_t s = rates_.slot_begin(position); s < end; s += kLanes) {
    if (lowest_of_lanes(slot + s) > limit) continue;
    for (std::uint32_t i = s; i < s + kLanes; ++i)
      if (slot[i] <= limit) due_.push_back({position, i, limit, clock_});
  }
}

// Notes what ends up to `last`.
void FluidComponent::find_due(double first, double last) {
  due_.clear();
  for (std::uint32_t b = 0; b < block_end_.size(); ++b) {
    if (block_end_[b] > last) continue;
    for (auto p = static_cast<std::uint32_t>(b * kLanes); p < (b + 1) * kLanes; ++p)
      if (end_[p] <= last) find_slots(p, std::max(head_[p], virtual_at(p, last)));
  }
  for (Due& due : due_) due.at = first + (slot_[due.slot] - virtual_at(due.position, first)) / speed_[due.position];
}

// Of what is due until `last`, the time up to which all can be put together.
double FluidComponent::last_to_join(double first, double last, double tolerance) {
  joining_.clear();
  double soonest = last;
  for (const Due& due : due_) {
    const double age = due.at - members_[rates_.slot_class(due.slot)].since;
    joining_.emplace_back(due.at, first + std::max(kSameTime * first, tolerance * age));
    soonest = std::min(soonest, joining_.back().second);
  }
  if (soonest == last) return last;
  std::sort(joining_.begin(), joining_.end());
  double joined = first;
  for (const auto& [at, until] : joining_) {
    if (at > last || at > until) break;  // it would be moved too far
    joined = std::max(joined, at);
    last = std::min(last, until);
  }
  return joined;
}

void FluidComponent::schedule_lone(double tolerance) {
  lone_.progress = lone_now();
  lone_.since = clock_;
  due_.clear();
  next_ = kInfinity;
  if (lone_.flows == 0) return;
  lone_.rate = lone_.rate_cap;
  for (std::size_t l = 0; l < lone_.capacity.size(); ++l)
    lone_.rate = std::min(lone_.rate, lone_.capacity[l] / (lone_.flows * lone_.weight[l]));
  const Member& member = members_[0];
  const double head = member.tag - member.offset, first = clock_ + (head - lone_.progress) / lone_.rate;
  if (!(first < kInfinity)) return;  // no number, too: nothing left, but no progress either
  const double last = first + std::max(kSameTime * first, tolerance * (first - member.since));
  due_.push_back({0, 0, std::max(head, lone_.progress + lone_.rate * (last - clock_)), first});
  next_ = first;
}

void FluidComponent::schedule(double tolerance) {
  if (lone_.is) return schedule_lone(tolerance);
  if (rates_.changed()) {
    rates_.solve();
    for (const std::uint32_t p : rates_.refrozen()) touch(p);
    regroup();
  }
  refresh();
  due_.clear();
  next_ = kInfinity;
  double first = kInfinity;
  for (const double end : block_end_) first = std::min(first, end);
  if (first == kInfinity) return;
  double last = first + kSameTime * first;
  find_due(first, last);
  if (tolerance > 0) {
    double age = kInfinity;
    for (const Due& due : due_) age = std::min(age, first - members_[rates_.slot_class(due.slot)].since);
    if (const double longest = first + tolerance * age; longest > last) {
      find_due(first, longest);
      last = last_to_join(first, longest, tolerance);
      if (last < longest) {
        std::erase_if(due_, [&](const Due& due) { return due.at > last; });
        for (Due& due : due_) due.limit = std::max(slot_[due.slot], virtual_at(due.position, last));
      }
    }
  }
  double rate = 0, late = 0;
  for (const Due& due : due_) {
    rate += speed_[due.position];
    late += slot_[due.slot] - virtual_at(due.position, first);
  }
  next_ = due_.size() == 1 ? first : std::max(clock_, first + late / rate);
}

// Ends the flows of due_.
void FluidComponent::complete(FlowHeaps& flows, std::vector<Ended>& ended) {
  for (std::size_t d = 0; d < due_.size(); ++d) {
    const auto [position, slot, limit, at] = due_[d];
    const std::uint32_t klass = lone_.is ? 0 : rates_.slot_class(slot);
    std::uint32_t count = 0;
    Member& member = members_[klass];
    std::uint32_t heap = member.heap;
    do {
      ended.push_back({heap, at});
      heap = flows.pop(heap);
      ++count;
    } while (heap != FlowHeaps::kNone && flows.tag(heap) - member.offset <= limit);
    member.heap = heap;
    if (heap != FlowHeaps::kNone) member.tag = flows.tag(heap);
    if (heap == FlowHeaps::kNone) --classes_with_flows_;
    if (lone_.is) {
      lone_.flows -= count;
      continue;
    }
    rates_.remove(klass, count);
    slot_[slot] = heap == FlowHeaps::kNone ? kInfinity : member.tag - member.offset;
    if (d + 1 == due_.size() || due_[d + 1].position != position) rescan(position);
  }
  due_.clear();
}

void FluidComponent::complete_scheduled(FlowHeaps& flows, std::vector<Ended>& ended) {
  clock_ = next_;
  next_ = kInfinity;
  complete(flows, ended);
}

void FluidComponent::complete_due(FlowHeaps& flows, std::vector<Ended>& ended) {
  due_.clear();
  const double last = clock_ + kSameTime * clock_;
  if (lone_.is) {
    const double limit = lone_.progress + lone_.rate * (last - lone_.since);
    if (lone_.flows > 0 && members_[0].tag - members_[0].offset <= limit) due_.push_back({0, 0, limit, clock_});
    return complete(flows, ended);
  }
  for (std::uint32_t p = 0; p < head_.size(); ++p)
    if (const double limit = virtual_at(p, last); head_[p] <= limit) find_slots(p, limit);
  complete(flows, ended);
}

}  // namespace moesim::engine
