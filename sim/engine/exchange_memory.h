// Identical exchanges are simulated once: all flows of an exchange that start at one moment, on links that nobody else
// uses until the last of them has ended, end at the same offsets from their start whenever that happens again.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace moesim::engine {

class ExchangeMemory {
 public:
  // What decides the ends: class, amount and number within its exchange of each flow, and the links' capacities.
  struct Start {
    std::vector<std::uint32_t> klass;  // [flows]
    std::vector<std::uint32_t> index;  // [flows]
    std::vector<double> amount;        // [flows]
    std::vector<std::uint32_t> links;  // increasing
    std::vector<double> capacity;      // [links]

    bool operator==(const Start&) const = default;
    std::uint64_t hash() const;
  };
  struct End {
    double offset;        // seconds since the start
    double own_offset;    // of the flow itself, which differs where ends are put together
    std::uint32_t index;  // of the flow in its exchange
  };
  struct Recording {
    Start start;
    std::vector<End> ends;  // in order of offset
  };

  // nullptr if there is none; stays valid.
  const Recording* find(const Start& start) const;
  void add(Recording recording);

 private:
  std::deque<Recording> recordings_;
  std::unordered_multimap<std::uint64_t, std::size_t> by_hash_;
};

}  // namespace moesim::engine
