// The water-filling loop of MaxMin (see maxmin.h), compiled for three vector widths with the same bits as result.
#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "sim/engine/maxmin.h"

namespace moesim::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLargest = std::numeric_limits<double>::max();
constexpr std::uint64_t kHighBits = 0x8080808080808080u;

// Bytes [at, at + 8) as one number, the first lowest.
inline std::uint64_t word(const std::vector<std::uint8_t>& bytes, std::uint32_t at) {
  std::uint64_t result = 0;
  std::memcpy(&result, bytes.data() + at, sizeof result);
  return result;
}
// The lowest `count` bytes, at least one, set.
inline std::uint64_t first_bytes(std::uint32_t count) {
  return count >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * count) - 1;
}

}  // namespace

template <std::size_t Bytes>
[[gnu::always_inline]] inline void MaxMin::solve_with() {
  using Piece = typename Vector<Bytes>::Type;
  constexpr std::size_t kPiece = Bytes / sizeof(double);
  const auto piece = [](double* p) __attribute__((always_inline))->Piece& { return *reinterpret_cast<Piece*>(p); };

  const auto blocks = static_cast<std::uint32_t>(current_.size());
  const auto colours = static_cast<std::uint32_t>(colour_low_.size());
  double* const open_deg = open_deg_.data();
  double* const ratio = ratio_.data();
  double* const weight = weight_.data();
  double* const block_low = block_low_.data();
  std::uint8_t* const frozen = frozen_.data();
  std::uint32_t* const current = current_.data();

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
    block_low[block] = std::min(std::min(a, b), std::min(c, d));
  };
  const auto lowest_of = [&](std::uint32_t colour) __attribute__((always_inline)) {
    double low[4] = {kInfinity, kInfinity, kInfinity, kInfinity};
    std::uint32_t b = colour_begin_[colour];
    const std::uint32_t end = colour_begin_[colour + 1];
    for (; b + 4 <= end; b += 4)
      for (std::uint32_t i = 0; i < 4; ++i) low[i] = std::min(low[i], block_low[b + i]);
    for (; b < end; ++b) low[0] = std::min(low[0], block_low[b]);
    colour_low_[colour] = std::min(std::min(low[0], low[1]), std::min(low[2], low[3]));
  };

  // Back to the state before phase restart_.
  moves_.clear();
  std::uint32_t phase = std::min(restart_, num_phases_);
  first_refrozen_ = phase < num_phases_ ? phase_frozen_[phase] : frozen_count_;
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
    if (const std::size_t needed = log_top_ + blocks + 1; needed > log_block_.size()) {
      log_.resize(4 * needed * kLanes);
      log_block_.resize(2 * needed);
      log_previous_.resize(2 * needed);
    }
    double* const log = log_.data();
    std::uint32_t* const log_block = log_block_.data();
    std::uint32_t* const log_previous = log_previous_.data();

    const std::uint32_t phase_log = log_top_;

    // Freeze.
    const std::uint32_t first = frozen_count_;
    const double threshold = std::min(others, kLargest);
    double colour_low = kInfinity;
    for (std::uint32_t b = colour_begin_[colour]; b < colour_begin_[colour + 1]; ++b) {
      if (block_low[b] <= threshold) {
        double* const r = ratio + b * kLanes;
        std::uint32_t lanes = 0;
        double left = kInfinity;
        for (std::uint32_t i = 0; i < kLanes; ++i) {
          const bool freezes = r[i] <= threshold;
          lanes |= static_cast<std::uint32_t>(freezes) << i;
          left = std::min(left, freezes ? kInfinity : r[i]);
        }
        block_low[b] = left;
        frozen[b] |= static_cast<std::uint8_t>(lanes);
        for (; lanes != 0; lanes &= lanes - 1) {
          const std::uint32_t p = b * kLanes + static_cast<std::uint32_t>(std::countr_zero(lanes));
          level_[p] = ratio[p];
          ratio[p] = kInfinity;
          open_deg[p] = -kInfinity;
          phase_of_[p] = phase;
          frozen_order_[frozen_count_++] = p;
        }
      }
      colour_low = std::min(colour_low, block_low[b]);
    }
    colour_low_[colour] = colour_low;

    std::uint32_t top = phase_log;
    for (std::uint32_t i = first; i < frozen_count_; ++i) {
      const std::uint32_t p = frozen_order_[i];
      const double level = level_[p];
      const Run* const runs_begin = runs_.data() + run_begin_[p];
      const Run* const runs_end = runs_.data() + run_begin_[p + 1];
      for (const Run* run = runs_begin; run != runs_end; ++run) {
        for (std::uint32_t k = 0; k < run->length; k += 8) {
          const std::uint64_t lanes =
              word(column_, run->tile + k) & ~word(frozen_, run->block + k) & first_bytes(run->length - k);
          if (lanes != 0) join(p, run->tile + k, lanes);
        }
      }
      // What the group takes from the links that are not frozen.
      for (const Run* run = runs_begin; run != runs_end; ++run) {
        for (std::uint32_t k = 0; k < run->length; k += 8) {
          std::uint64_t lanes =
              word(row_, run->tile + k) & ~word(frozen_, run->block + k) & first_bytes(run->length - k);
          // The highest bit of each byte that is not zero.
          lanes = (((lanes & ~kHighBits) + ~kHighBits) | lanes) & kHighBits;
          for (; lanes != 0; lanes &= lanes - 1) {
            const std::uint32_t tile = k + static_cast<std::uint32_t>(std::countr_zero(lanes)) / 8;
            const std::uint32_t block = run->block + tile;
            const std::uint32_t record = current[block];
            const bool fresh = record < phase_log;  // not yet touched in this phase: a new record
            const std::uint32_t target = fresh ? top : record;
            log_previous[top] = record;
            log_block[top] = block;
            current[block] = target;
            top += fresh;
            double* const before = log + record * 2 * kLanes;
            double* const after = log + target * 2 * kLanes;
            double* const w = weight + (run->tile + tile) * kLanes;
            for (std::size_t j = 0; j < kLanes; j += kPiece) {
              piece(after + j) = piece(before + j) - level * piece(w + j);
              piece(after + kLanes + j) = piece(before + kLanes + j) + piece(w + j);
            }
          }
        }
      }
    }
    log_top_ = top;

    for (std::uint32_t r = phase_log; r < top; ++r) {
      refresh(log_block[r], log + r * 2 * kLanes);
      colour_low_[block_colour_[log_block[r]]] = -kInfinity;
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
