// The water-filling loop of MaxMin (see maxmin.h), compiled for three vector widths with the same bits as result.
#include <algorithm>
#include <bit>

#include "base/error.h"
#include "sim/engine/maxmin.h"

namespace moesim::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

template <std::size_t Bytes>
[[gnu::always_inline]] inline void MaxMin::solve_with() {
  using Piece = typename Vector<Bytes>::Type;
  constexpr std::size_t kPiece = Bytes / sizeof(double);
  const auto piece = [](double* p) __attribute__((always_inline))->Piece& { return *reinterpret_cast<Piece*>(p); };

  const auto blocks = static_cast<std::uint32_t>(frozen_.size());
  const auto colours = static_cast<std::uint32_t>(colour_low_.size());
  double* const open_deg = open_deg_.data();
  double* const ratio = ratio_.data();
  double* const weight = weight_.data();

  // New ratios of a block from its current record; remembers the smallest.
  const auto refresh = [&](std::uint32_t block, double* record) __attribute__((always_inline)) {
    double* const out = ratio + block * kLanes;
    double* const deg = open_deg + block * kLanes;
    if (block < first_cap_block_) {
      for (std::size_t i = 0; i < kLanes; i += kPiece) {
        const Piece active = piece(deg + i) - piece(record + kLanes + i);
        const Piece level = piece(record + i) / active;
        piece(out + i) = active > 0 ? level : Piece{} + kInfinity;
      }
    } else {
      for (std::size_t i = 0; i < kLanes; i += kPiece) {
        const Piece active = piece(deg + i) - piece(record + kLanes + i);
        piece(out + i) = active > 0 ? piece(&cap_[block * kLanes] + i) : Piece{} + kInfinity;
      }
    }
    const double a = std::min(out[0], out[4]), b = std::min(out[1], out[5]);
    const double c = std::min(out[2], out[6]), d = std::min(out[3], out[7]);
    block_low_[block] = std::min(std::min(a, b), std::min(c, d));
  };
  const auto lowest_of = [&](std::uint32_t colour) __attribute__((always_inline)) {
    double low = kInfinity;
    for (std::uint32_t b = colour_begin_[colour]; b < colour_begin_[colour + 1]; ++b)
      low = std::min(low, block_low_[b]);
    colour_low_[colour] = low;
  };

  // Back to the state before phase restart_.
  moves_.clear();
  std::uint32_t phase = std::min(restart_, num_phases_);
  if (phase < num_phases_) {
    for (std::uint32_t i = phase_frozen_[phase]; i < frozen_count_; ++i) {
      const std::uint32_t p = frozen_order_[i];
      frozen_[p / kLanes] &= static_cast<std::uint8_t>(~(1u << p % kLanes));
      open_deg[p] = deg_[p];
    }
    frozen_count_ = phase_frozen_[phase];
    while (log_top_ > phase_log_[phase]) {
      --log_top_;
      current_[log_block_[log_top_]] = log_previous_[log_top_];
    }
  }
  for (std::uint32_t b = 0; b < blocks; ++b) refresh(b, &log_[current_[b] * 2 * kLanes]);
  for (std::uint32_t k = 0; k < colours; ++k) lowest_of(k);

  for (;; ++phase) {
    double low = kInfinity, others = kInfinity;
    std::uint32_t colour = kNone;
    for (std::uint32_t k = 0; k < colours; ++k) {
      const double v = colour_low_[k];
      if (v < low) {
        others = low;
        low = v;
        colour = k;
      } else {
        others = std::min(others, v);
      }
    }
    if (colour == kNone) break;

    ++phases_run_;
    phase_log_[phase] = log_top_;
    phase_frozen_[phase] = frozen_count_;
    if (const std::size_t needed = log_top_ + blocks; needed > log_block_.size()) {
      log_.resize(4 * needed * kLanes);
      log_block_.resize(2 * needed);
      log_previous_.resize(2 * needed);
    }
    double* const log = log_.data();

    // Freeze.
    const std::uint32_t first = frozen_count_;
    double colour_low = kInfinity;
    for (std::uint32_t b = colour_begin_[colour]; b < colour_begin_[colour + 1]; ++b) {
      if (block_low_[b] <= others) {
        double left = kInfinity;
        for (std::uint32_t p = b * kLanes; p < (b + 1) * kLanes; ++p) {
          const double r = ratio[p];
          if (r > others || r == kInfinity) {
            left = std::min(left, r);
            continue;
          }
          level_[p] = r;
          ratio[p] = kInfinity;
          open_deg[p] = -kInfinity;
          frozen_[b] |= static_cast<std::uint8_t>(1u << p % kLanes);
          phase_of_[p] = phase;
          frozen_order_[frozen_count_++] = p;
        }
        block_low_[b] = left;
      }
      colour_low = std::min(colour_low, block_low_[b]);
    }
    colour_low_[colour] = colour_low;

    for (std::uint32_t i = first; i < frozen_count_; ++i) {
      const std::uint32_t p = frozen_order_[i];
      const double level = level_[p];
      const std::uint32_t begin = tile_begin_[p], end = tile_begin_[p + 1];
      std::uint32_t joining = 0;
      for (std::uint32_t t = begin; t < end; ++t)
        joining |= column_[t] & ~static_cast<std::uint32_t>(frozen_[tile_block_[t]]);
      if (joining != 0) move_crossing(p);
      // What the group takes from the links that are not frozen.
      for (std::uint32_t t = begin; t < end; ++t) {
        const std::uint32_t block = tile_block_[t];
        if ((row_[t] & ~static_cast<std::uint32_t>(frozen_[block])) == 0) continue;
        std::uint32_t record = current_[block];
        double* const before = log + record * 2 * kLanes;
        if (record < phase_log_[phase]) {
          log_previous_[log_top_] = record;
          log_block_[log_top_] = block;
          record = current_[block] = log_top_++;
        }
        double* const after = log + record * 2 * kLanes;
        double* const w = weight + t * kLanes;
        for (std::size_t j = 0; j < kLanes; j += kPiece) {
          piece(after + j) = piece(before + j) - level * piece(w + j);
          piece(after + kLanes + j) = piece(before + kLanes + j) + piece(w + j);
        }
      }
    }

    for (std::uint32_t r = phase_log_[phase]; r < log_top_; ++r) {
      refresh(log_block_[r], log + r * 2 * kLanes);
      colour_low_[block_colour_[log_block_[r]]] = -kInfinity;
    }
    for (std::uint32_t k = 0; k < colours; ++k)
      if (colour_low_[k] == -kInfinity) lowest_of(k);
  }
  num_phases_ = phase;
  restart_ = kNone;
}

void MaxMin::solve_sse2() { solve_with<16>(); }
[[gnu::target("avx2")]] void MaxMin::solve_avx2() { solve_with<32>(); }
[[gnu::target("avx512f")]] void MaxMin::solve_avx512() { solve_with<64>(); }

void MaxMin::solve() {
  if (restart_ == kNone) {
    moves_.clear();
    return;
  }
  switch (width_) {
    case VectorWidth::Sse2:
      return solve_sse2();
    case VectorWidth::Avx2:
      return solve_avx2();
    case VectorWidth::Avx512:
      return solve_avx512();
  }
}

}  // namespace moesim::engine
