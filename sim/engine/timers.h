// What is to happen at a time, in the order that task_graph.h promises: (time, priority, insertion).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace moesim::engine {

enum class Priority : std::uint8_t { Capacity, Completion, Start };

template <class Work>
class Timers {
 public:
  void add(double time, Priority priority, Work work) {
    entries_.push_back({time, (static_cast<std::uint64_t>(priority) << 56) | count_++, work});
    std::push_heap(entries_.begin(), entries_.end(), later);
  }
  // Infinity if nothing is left.
  double next() const { return entries_.empty() ? std::numeric_limits<double>::infinity() : entries_.front().time; }
  Priority next_priority() const { return static_cast<Priority>(entries_.front().order >> 56); }
  Work take() {
    std::pop_heap(entries_.begin(), entries_.end(), later);
    const Work work = entries_.back().work;
    entries_.pop_back();
    return work;
  }

 private:
  struct Entry {
    double time;
    std::uint64_t order;
    Work work;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.time > b.time || (a.time == b.time && a.order > b.order);
  }

  std::vector<Entry> entries_;
  std::uint64_t count_ = 0;
};

}  // namespace moesim::engine
