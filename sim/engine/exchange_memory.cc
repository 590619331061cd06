#include "sim/engine/exchange_memory.h"

#include <bit>

namespace moesim::engine {

std::uint64_t ExchangeMemory::Start::hash() const {
  std::uint64_t h = klass.size();
  const auto mix = [&](std::uint64_t v) {
    h = (h ^ v) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
  };
  for (std::size_t i = 0; i < klass.size(); ++i) {
    mix(klass[i]);
    mix(index[i]);
    mix(std::bit_cast<std::uint64_t>(amount[i]));
  }
  for (const double c : capacity) mix(std::bit_cast<std::uint64_t>(c));
  return h;
}

const ExchangeMemory::Recording* ExchangeMemory::find(const Start& start) const {
  const auto [begin, end] = by_hash_.equal_range(start.hash());
  for (auto it = begin; it != end; ++it)
    if (recordings_[it->second].start == start) return &recordings_[it->second];
  return nullptr;
}

void ExchangeMemory::add(Recording recording) {
  by_hash_.emplace(recording.start.hash(), recordings_.size());
  recordings_.push_back(std::move(recording));
}

}  // namespace moesim::engine
