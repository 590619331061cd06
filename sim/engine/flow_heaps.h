// Flows in flight, as pairing heaps on flat arrays: one heap for each class, ordered by (tag, flow). The tag is what
// the class has to have progressed (see fluid_component.h) when the flow is drained.
#pragma once

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace moesim::engine {

class FlowHeaps {
 public:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  // `exchange` and `index` are the owner's.
  std::uint32_t create(double tag, std::uint32_t exchange, std::uint32_t index) {
    std::uint32_t f = free_;
    if (f == kNone) {
      f = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
    } else {
      free_ = nodes_[f].sibling;
    }
    nodes_[f] = {tag, kNone, kNone, exchange, index};
    return f;
  }
  void destroy(std::uint32_t f) {
    nodes_[f].sibling = free_;
    free_ = f;
  }

  double tag(std::uint32_t f) const { return nodes_[f].tag; }
  std::uint32_t exchange(std::uint32_t f) const { return nodes_[f].exchange; }
  std::uint32_t index(std::uint32_t f) const { return nodes_[f].index; }

  // Both give the new root. kNone is an empty heap.
  std::uint32_t merge(std::uint32_t a, std::uint32_t b) {
    if (a == kNone) return b;
    if (b == kNone) return a;
    if (before(b, a)) std::swap(a, b);
    nodes_[b].sibling = nodes_[a].child;
    nodes_[a].child = b;
    return a;
  }
  // Takes the root away (and does not destroy it).
  std::uint32_t pop(std::uint32_t root) {
    std::uint32_t pairs = kNone;  // merged two by two, linked in reverse
    for (std::uint32_t a = nodes_[root].child; a != kNone;) {
      const std::uint32_t b = nodes_[a].sibling;
      const std::uint32_t next = b == kNone ? kNone : nodes_[b].sibling;
      nodes_[a].sibling = kNone;
      if (b != kNone) nodes_[b].sibling = kNone;
      const std::uint32_t merged = merge(a, b);
      nodes_[merged].sibling = pairs;
      pairs = merged;
      a = next;
    }
    std::uint32_t result = kNone;
    while (pairs != kNone) {
      const std::uint32_t next = nodes_[pairs].sibling;
      nodes_[pairs].sibling = kNone;
      result = merge(result, pairs);
      pairs = next;
    }
    nodes_[root].child = kNone;
    return result;
  }

 private:
  struct Node {
    double tag;
    std::uint32_t child, sibling;
    std::uint32_t exchange, index;
  };
  bool before(std::uint32_t a, std::uint32_t b) const {
    return nodes_[a].tag < nodes_[b].tag || (nodes_[a].tag == nodes_[b].tag && a < b);
  }

  std::vector<Node> nodes_;
  std::uint32_t free_ = kNone;
};

}  // namespace moesim::engine
