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
  rates_.build(problem);
  clock_ = now;
  next_ = kInfinity;
  const std::size_t positions = rates_.positions(), blocks = positions / kLanes;
  virtual_.assign(positions, 0);
  speed_.assign(positions, 0);
  head_.assign(positions, kInfinity);
  end_.assign(positions, kInfinity);
  since_.assign(blocks, now);
  block_end_.assign(blocks, kInfinity);
  slot_.assign(rates_.slots(), kInfinity);
  members_.assign(problem.classes(), {});
  is_stale_.assign(positions, 0);
  stale_.clear();
  is_touched_.assign(blocks, 0);
  touched_.clear();
  due_.clear();
  classes_with_flows_ = 0;
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
                           double progress) {
  rates_.add(klass, count);
  ++classes_with_flows_;
  members_[klass] = {progress, flows.tag(heap), heap};
}

void FluidComponent::add(FlowHeaps& flows, std::uint32_t klass, double amount, std::uint32_t exchange,
                         std::uint32_t index) {
  Member& member = members_[klass];
  if (member.heap == FlowHeaps::kNone) {
    return adopt(flows, klass, flows.create(amount, exchange, index), 1, 0);
  }
  rates_.add(klass);
  member.heap = flows.merge(member.heap, flows.create(progress(klass) + amount, exchange, index));
  member.tag = flows.tag(member.heap);
  if (rates_.group(klass) != MaxMin::kNone) put(klass);
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
void FluidComponent::find_due(std::uint32_t position, double limit) {
  const double* slot = slot_.data();
  const std::uint32_t end = rates_.slot_begin(position + 1);
  for (std::uint32_t s = rates_.slot_begin(position); s < end; s += kLanes) {
    if (lowest_of_lanes(slot + s) > limit) continue;
    for (std::uint32_t i = s; i < s + kLanes; ++i)
      if (slot[i] <= limit) due_.push_back({position, i, limit, clock_});
  }
}

void FluidComponent::schedule(double tolerance, double epoch) {
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
  const double last = first + std::max(kSameTime * first, tolerance * (first - epoch));
  for (std::uint32_t b = 0; b < block_end_.size(); ++b) {
    if (block_end_[b] > last) continue;
    for (auto p = static_cast<std::uint32_t>(b * kLanes); p < (b + 1) * kLanes; ++p)
      if (end_[p] <= last) find_due(p, std::max(head_[p], virtual_at(p, last)));
  }
  double rate = 0, late = 0;
  for (Due& due : due_) {
    const double left = slot_[due.slot] - virtual_at(due.position, first);
    due.at = first + left / speed_[due.position];
    rate += speed_[due.position];
    late += left;
  }
  next_ = due_.size() == 1 ? first : std::max(clock_, first + late / rate);
}

// Ends the flows of due_.
void FluidComponent::complete(FlowHeaps& flows, std::vector<Ended>& ended) {
  for (std::size_t d = 0; d < due_.size(); ++d) {
    const auto [position, slot, limit, at] = due_[d];
    const std::uint32_t klass = rates_.slot_class(slot);
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
    rates_.remove(klass, count);
    slot_[slot] = heap == FlowHeaps::kNone ? kInfinity : member.tag - member.offset;
    if (heap == FlowHeaps::kNone) --classes_with_flows_;
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
  for (std::uint32_t p = 0; p < head_.size(); ++p)
    if (const double limit = virtual_at(p, last); head_[p] <= limit) find_due(p, limit);
  complete(flows, ended);
}

}  // namespace moesim::engine
