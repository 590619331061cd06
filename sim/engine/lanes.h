// Vectors of doubles whose storage is aligned for blocks of eight lanes, and the piecewise vector types of the solver's
// loops. Element-wise arithmetic only: the same bits at every width.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace moesim::engine {

inline constexpr std::size_t kLanes = 8;

template <class T>
struct LaneAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{kLanes * sizeof(double)};

  LaneAllocator() = default;
  template <class U>
  LaneAllocator(const LaneAllocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kAlignment)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, kAlignment); }
  template <class U>
  bool operator==(const LaneAllocator<U>&) const {
    return true;
  }
};

using LaneVector = std::vector<double, LaneAllocator<double>>;  // sizes are multiples of kLanes

// `Bytes` of adjacent doubles (16: SSE2, 32: AVX2, 64: AVX-512).
template <std::size_t Bytes>
struct Vector {
  using Type [[gnu::vector_size(Bytes), gnu::may_alias]] = double;
};

}  // namespace moesim::engine
