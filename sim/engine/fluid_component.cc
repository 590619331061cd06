#include "sim/engine/fluid_component.h"

#include <algorithm>

namespace moesim::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Ends closer than this, relative to their time, are one moment.
constexpr double kSameTime = 1e-12;

}  // namespace

void FluidComponent::build(const MaxMinProblem& problem, double now) {
  rates_.build(problem);
  clock_ = now;
  next_ = kInfinity;
  virtual_.assign(rates_.positions(), 0);
  head_.assign(rates_.positions(), kInfinity);
  wait_.assign(rates_.positions(), kInfinity);
  slot_.assign(rates_.slots(), kInfinity);
  offset_.assign(problem.classes(), 0);
  heap_.assign(problem.classes(), FlowHeaps::kNone);
  is_stale_.assign(rates_.positions(), 0);
  stale_.clear();
  due_.clear();
  classes_with_flows_ = 0;
}

// Writes the class's slot in its group.
void FluidComponent::put(const FlowHeaps& flows, std::uint32_t klass) {
  const std::uint32_t hop = rates_.group(klass), p = rates_.route_position(hop);
  const double end = flows.tag(heap_[klass]) - offset_[klass];
  slot_[rates_.route_slot(hop)] = end;
  head_[p] = std::min(head_[p], end);
}

void FluidComponent::adopt(const FlowHeaps& flows, std::uint32_t klass, std::uint32_t heap, std::uint32_t count,
                           double progress) {
  rates_.add(klass, count);
  ++classes_with_flows_;
  heap_[klass] = heap;
  offset_[klass] = progress - virtual_[position_of(klass)];
  put(flows, klass);
}

void FluidComponent::add(FlowHeaps& flows, std::uint32_t klass, double amount, std::uint32_t exchange,
                         std::uint32_t index) {
  if (heap_[klass] == FlowHeaps::kNone) {
    return adopt(flows, klass, flows.create(amount, exchange, index), 1, 0);
  }
  rates_.add(klass);
  heap_[klass] = flows.merge(heap_[klass], flows.create(progress(klass) + amount, exchange, index));
  put(flows, klass);
}

void FluidComponent::rescan(std::uint32_t position) {
  const double* slot = slot_.data();
  const std::uint32_t begin = rates_.slot_begin(position), end = rates_.slot_begin(position + 1);
  double low[kLanes];
  std::fill_n(low, kLanes, kInfinity);
  for (std::uint32_t s = begin; s < end; s += kLanes)
    for (std::uint32_t i = 0; i < kLanes; ++i) low[i] = slot[s + i] < low[i] ? slot[s + i] : low[i];
  head_[position] = *std::min_element(low, low + kLanes);
}

// Carries the classes that moved over to the virtual time of their new group.
void FluidComponent::regroup(const FlowHeaps& flows) {
  for (const MaxMin::Move& move : rates_.moves()) {
    const std::uint32_t from = rates_.route_position(move.from), to = rates_.route_position(move.to);
    double& old_slot = slot_[rates_.route_slot(move.from)];
    if (old_slot == head_[from] && !is_stale_[from]) {
      is_stale_[from] = 1;
      stale_.push_back(from);
    }
    old_slot = kInfinity;
    offset_[move.klass] += virtual_[from] - virtual_[to];
    put(flows, move.klass);
  }
  for (const std::uint32_t p : stale_) {
    rescan(p);
    is_stale_[p] = 0;
  }
  stale_.clear();
}

void FluidComponent::schedule(const FlowHeaps& flows, double tolerance, double epoch) {
  if (rates_.changed()) {
    rates_.solve();
    regroup(flows);
  }
  const std::size_t positions = rates_.positions();
  const double* level = rates_.levels();
  double low[kLanes];
  std::fill_n(low, kLanes, kInfinity);
  for (std::size_t p = 0; p < positions; p += kLanes) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      const double wait = (head_[p + i] - virtual_[p + i]) / level[p + i];
      wait_[p + i] = wait;
      low[i] = wait < low[i] ? wait : low[i];
    }
  }
  const double first = *std::min_element(low, low + kLanes);
  due_.clear();
  next_ = kInfinity;
  if (first == kInfinity) return;
  const double at = clock_ + first;
  const double window = first + std::max(kSameTime * at, tolerance * (at - epoch));
  double rate = 0, late = 0;
  for (std::size_t p = 0; p < positions; ++p) {
    if (!(wait_[p] <= window)) continue;
    const double limit = std::max(head_[p], virtual_[p] + level[p] * window);
    due_.push_back({static_cast<std::uint32_t>(p), limit});
    for (std::uint32_t s = rates_.slot_begin(static_cast<std::uint32_t>(p)); s < rates_.slot_begin(p + 1); ++s) {
      if (slot_[s] > limit) continue;
      rate += level[p];
      late += level[p] * ((slot_[s] - virtual_[p]) / level[p] - first);
    }
  }
  next_ = clock_ + (first + late / rate);
}

void FluidComponent::advance(double now) {
  const double step = now - clock_;
  const double* level = rates_.levels();
  for (std::size_t p = 0; p < virtual_.size(); ++p) virtual_[p] += level[p] * step;
  clock_ = now;
}

void FluidComponent::complete(FlowHeaps& flows, const Due& due, std::vector<std::uint32_t>& completed) {
  const std::uint32_t begin = rates_.slot_begin(due.position), end = rates_.slot_begin(due.position + 1);
  for (std::uint32_t s = begin; s < end; ++s) {
    if (slot_[s] > due.limit) continue;
    const std::uint32_t klass = rates_.slot_class(s);
    if (klass == MaxMin::kNone) break;
    std::uint32_t count = 0;
    std::uint32_t& heap = heap_[klass];
    do {
      completed.push_back(heap);
      heap = flows.pop(heap);
      ++count;
    } while (heap != FlowHeaps::kNone && flows.tag(heap) - offset_[klass] <= due.limit);
    rates_.remove(klass, count);
    slot_[s] = heap == FlowHeaps::kNone ? kInfinity : flows.tag(heap) - offset_[klass];
    if (heap == FlowHeaps::kNone) --classes_with_flows_;
  }
  rescan(due.position);
}

void FluidComponent::complete_scheduled(FlowHeaps& flows, std::vector<std::uint32_t>& completed) {
  advance(next_);
  for (const Due& due : due_) complete(flows, due, completed);
  due_.clear();
  next_ = kInfinity;
}

void FluidComponent::complete_due(FlowHeaps& flows, std::vector<std::uint32_t>& completed) {
  const double* level = rates_.levels();
  for (std::uint32_t p = 0; p < virtual_.size(); ++p) {
    const double limit = virtual_[p] + level[p] * (kSameTime * clock_);
    if (head_[p] <= limit) complete(flows, {p, limit}, completed);
  }
}

}  // namespace moesim::engine
