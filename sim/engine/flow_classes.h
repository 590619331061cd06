// Flows with equal routes and caps are one class (see maxmin.h). This finds the classes of a TaskGraph.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sim/engine/decompose.h"
#include "sim/engine/task_graph.h"

namespace moesim::engine {

class FlowClasses {
 public:
  // Interns all flows and computes of the graph, which must outlive this.
  explicit FlowClasses(const TaskGraph& graph);

  const Routes& routes() const { return routes_; }
  // Of a flow of an exchange.
  std::uint32_t of(std::uint32_t exchange, std::uint32_t flow) const {
    const std::uint32_t first = first_own_[exchange];
    return first == kNone ? of_path(graph_.exchanges()[exchange].flows[flow]) : first + flow;
  }
  std::uint32_t of(ComputeId compute) const { return compute_class_[compute.index()]; }

 private:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t of_path(const Flow& flow) const;
  std::uint32_t add(std::span<const Use> uses, double cap);
  // The class with these uses (each resource at most once) and cap; new if there is none.
  std::uint32_t intern(std::span<const Use> uses, double cap);
  std::size_t slot_for(std::span<const Use> uses, double cap, std::uint64_t h) const;
  static std::uint64_t hash(std::span<const Use> uses, double cap);

  const TaskGraph& graph_;
  Routes routes_;
  struct Entry {
    std::uint32_t tag = 0;  // of the hash: few other classes are looked at
    std::uint32_t klass = kNone;
  };
  static std::uint32_t tag(std::uint64_t h) { return static_cast<std::uint32_t>(h >> 32); }
  struct Part {
    std::size_t begin, mask;
  };
  // Where to look for a class: by its newest resource, so that the classes of one exchange lie near each other.
  std::size_t part_of(std::span<const Use> uses) const;
  void make_room();
  std::vector<Part> parts_;   // [resources + 1] of the table, the first for classes with a cap only
  std::vector<Entry> table_;  // open addressing, each part at most half full
  // [exchanges] of its first flow, where each flow is a class of its own: they use something of their rank, which they
  // hardly share with other exchanges. kNone elsewhere.
  std::vector<std::uint32_t> first_own_;
  std::vector<std::uint32_t> path_class_;     // [paths] without cap; kNone if no such flow
  std::vector<std::uint32_t> compute_class_;  // [computes]
};

}  // namespace moesim::engine
