// The water-filling loop of MaxMin (see maxmin.h), compiled for three vector widths with the same bits as result.
#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include <immintrin.h>

#include "base/error.h"
#include "sim/engine/maxmin.h"

namespace moesim::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLargest = std::numeric_limits<double>::max();
constexpr std::uint64_t kHighBits = 0x8080808080808080u;
constexpr std::uint8_t kAllLanes = 0xff;

// Eight bytes as one number, the first lowest.
inline std::uint64_t word(const std::uint8_t* bytes) {
  std::uint64_t result = 0;
  std::memcpy(&result, bytes, sizeof result);
  return result;
}
// One bit for each of the eight bytes: whether it is not zero.
inline std::uint64_t bytes_set(std::uint64_t bytes) {
  const std::uint64_t high = (((bytes & ~kHighBits) + ~kHighBits) | bytes) & kHighBits;
  return (high >> 7) * 0x0102040810204080u >> 56;
}

// The lanes of a block that are at most x, as bits.
template <std::size_t Bytes>
inline std::uint32_t lanes_at_most(const double* lanes, double x);
template <>
inline std::uint32_t lanes_at_most<16>(const double* lanes, double x) {
  std::uint32_t bits = 0;
  for (std::uint32_t i = 0; i < kLanes; i += 2)
    bits |= static_cast<std::uint32_t>(_mm_movemask_pd(_mm_cmple_pd(_mm_load_pd(lanes + i), _mm_set1_pd(x)))) << i;
  return bits;
}
template <>
[[gnu::target("avx2")]] inline std::uint32_t lanes_at_most<32>(const double* lanes, double x) {
  const __m256d limit = _mm256_set1_pd(x);
  const int low = _mm256_movemask_pd(_mm256_cmp_pd(_mm256_load_pd(lanes), limit, _CMP_LE_OQ));
  const int high = _mm256_movemask_pd(_mm256_cmp_pd(_mm256_load_pd(lanes + 4), limit, _CMP_LE_OQ));
  return static_cast<std::uint32_t>(low | high << 4);
}
template <>
[[gnu::target("avx512f")]] inline std::uint32_t lanes_at_most<64>(const double* lanes, double x) {
  return _mm512_cmp_pd_mask(_mm512_load_pd(lanes), _mm512_set1_pd(x), _CMP_LE_OQ);
}

// Entries of M as doubles. (The masks spare GCC 12 a false warning.)
template <std::size_t Bytes, class Entry>
[[gnu::always_inline]] inline void entries(const Entry* entry, typename Vector<Bytes>::Type& out) {
  for (std::size_t i = 0; i < Bytes / sizeof(double); ++i) out[i] = static_cast<double>(entry[i]);
}
template <>
[[gnu::target("avx2")]] inline void entries<32, std::uint8_t>(const std::uint8_t* entry, Vector<32>::Type& out) {
  std::int32_t bytes = 0;
  std::memcpy(&bytes, entry, sizeof bytes);
  out = _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes)));
}
template <>
[[gnu::target("avx2")]] inline void entries<32, std::uint16_t>(const std::uint16_t* entry, Vector<32>::Type& out) {
  out = _mm256_cvtepi32_pd(_mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(entry))));
}
template <>
[[gnu::target("avx512f")]] inline void entries<64, std::uint8_t>(const std::uint8_t* entry, Vector<64>::Type& out) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(entry));
  out = _mm512_maskz_cvtepi32_pd(kAllLanes, _mm256_cvtepu8_epi32(bytes));
}
template <>
[[gnu::target("avx512f")]] inline void entries<64, std::uint16_t>(const std::uint16_t* entry, Vector<64>::Type& out) {
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(entry));
  out = _mm512_maskz_cvtepi32_pd(kAllLanes, _mm256_cvtepu16_epi32(words));
}

// The smallest of a block.
template <std::size_t Bytes>
[[gnu::always_inline]] inline double lowest_lane(const typename Vector<Bytes>::Type* pieces) {
  alignas(64) double x[kLanes];
  std::memcpy(x, pieces, sizeof x);
  const double a = std::min(x[0], x[4]), b = std::min(x[1], x[5]);
  const double c = std::min(x[2], x[6]), d = std::min(x[3], x[7]);
  return std::min(std::min(a, b), std::min(c, d));
}

}  // namespace

// OneWord: there are at most 64 blocks.
template <std::size_t Bytes, bool OneWord, class Entry>
[[gnu::always_inline]] inline void MaxMin::solve_with(Entry* weight) {
  using Piece = typename Vector<Bytes>::Type;
  constexpr std::size_t kPiece = Bytes / sizeof(double), kPieces = kLanes / kPiece;
  const auto piece = [](double* p) __attribute__((always_inline))->Piece& { return *reinterpret_cast<Piece*>(p); };

  // Unwrapped: stores of bytes could alias the members.
  const auto blocks = static_cast<std::uint32_t>(current_.size());
  const auto colours = static_cast<std::uint32_t>(colour_low_.size());
  const auto words = static_cast<std::uint32_t>(touched_blocks_.size());
  const std::uint32_t first_cap_block = first_cap_block_;
  const std::uint32_t* const colour_begin = colour_begin_.data();
  const std::uint64_t* const colour_bit = colour_bit_.data();
  const Word* const all_words = words_.data();
  const std::uint32_t* const word_begin = word_begin_.data();
  Giving* const giving = giving_.data();
  const std::uint32_t* const entry_at = entry_at_.data();
  const bool has_entry_at = !entry_at_.empty();
  const Run* const only_run = only_run_.empty() ? nullptr : only_run_.data();
  const std::uint8_t* const row = row_.data();
  const std::uint8_t* const column = column_.data();
  double* const open_deg = open_deg_.data();
  double* const ratio = ratio_.data();
  double* const level = level_.data();
  std::uint8_t* const frozen = frozen_.data();
  std::uint32_t* const phase_of = phase_of_.data();
  double* const colour_low = colour_low_.data();
  std::uint32_t* const current = current_.data();
  std::uint32_t* const order = frozen_order_.data();
  std::uint64_t* const touched = touched_blocks_.data();
  std::uint64_t touched_word = 0;  // in place of `touched`
  std::uint32_t* const first_open = first_open_.data();
  double* const cap = cap_.data();
  const std::int32_t* const unsettled = unsettled_.data();

  // The ratios of a block with these capacities left and frozen weights.
  const auto set_ratios = [&](std::uint32_t block, const Piece* left, const Piece* gone)
      __attribute__((always_inline)) {
    double* const out = ratio + block * kLanes;
    double* const deg = open_deg + block * kLanes;
    if (block < first_cap_block) {
      for (std::size_t j = 0; j < kPieces; ++j) {
        const Piece active = piece(deg + j * kPiece) - gone[j];
        const Piece full = left[j] / active;
        piece(out + j * kPiece) = active > 0 ? full : Piece{} + kInfinity;
      }
    } else {
      for (std::size_t j = 0; j < kPieces; ++j) {
        const Piece active = piece(deg + j * kPiece) - gone[j];
        piece(out + j * kPiece) = active > 0 ? piece(cap + block * kLanes + j * kPiece) : Piece{} + kInfinity;
      }
    }
  };
  // Calls visit(block) for the blocks noted in `touched`, and forgets them; then the smallest ratios of their colours.
  const auto each_touched = [&](auto visit) __attribute__((always_inline)) {
    std::uint64_t touched_colours = 0;
    const auto each_of = [&](std::uint64_t bits, std::uint32_t first) __attribute__((always_inline)) {
      for (; bits != 0; bits &= bits - 1) {
        const std::uint32_t block = first + static_cast<std::uint32_t>(std::countr_zero(bits));
        touched_colours |= colour_bit[block];
        visit(block);
      }
    };
    if constexpr (OneWord) {
      each_of(touched_word, 0);
      touched_word = 0;
    } else {
      for (std::uint32_t w = 0; w < words; ++w) {
        each_of(touched[w], 64 * w);
        touched[w] = 0;
      }
    }
    for (std::uint32_t k = 0; k < colours; ++k) {
      if (!(touched_colours >> std::min(k, 63u) & 1)) continue;
      Piece low[kPieces];
      for (std::size_t j = 0; j < kPieces; ++j) low[j] = Piece{} + kInfinity;
      for (std::uint32_t b = first_open[k]; b < colour_begin[k + 1]; ++b) {
        for (std::size_t j = 0; j < kPieces; ++j) {
          const Piece r = piece(ratio + b * kLanes + j * kPiece);
          low[j] = r < low[j] ? r : low[j];
        }
      }
      colour_low[k] = lowest_lane<Bytes>(low);
    }
  };

  std::uint32_t phase = roll_back();
  if constexpr (OneWord) touched_word = std::exchange(touched[0], 0);
  for (std::uint32_t k = 0; k < colours; ++k) {
    std::uint32_t b = colour_begin[k];
    while (b < colour_begin[k + 1] && frozen[b] == kAllLanes) ++b;
    first_open[k] = b;
  }
  double* log = log_.data();
  each_touched([&](std::uint32_t block) __attribute__((always_inline)) {
    double* const record = log + current[block] * (2 * kLanes);
    Piece left[kPieces], gone[kPieces];
    for (std::size_t j = 0; j < kPieces; ++j) {
      left[j] = piece(record + j * kPiece);
      gone[j] = piece(record + kLanes + j * kPiece);
    }
    set_ratios(block, left, gone);
  });

  const std::uint32_t first_record = log_top_;
  std::uint32_t top = log_top_, count = frozen_count_;
  for (;; ++phase) {
    double low = kInfinity, others = kInfinity;
    std::uint32_t colour = kNone;
    for (std::uint32_t k = 0; k < colours; ++k) {
      const double v = colour_low[k];
      others = std::min(others, std::max(low, v));
      colour = v < low ? k : colour;
      low = std::min(low, v);
    }
    if (colour == kNone) break;
    phase_log_[phase] = top;
    phase_frozen_[phase] = count;
    if (top + blocks > log_block_.size()) grow_log();
    log = log_.data();
    std::uint32_t* const log_block = log_block_.data();
    std::uint32_t* const log_previous = log_previous_.data();

    // Freeze.
    const std::uint32_t first = count;
    const double threshold = std::min(others, kLargest);
    Piece rest[kPieces];  // the smallest ratios that stay
    for (std::size_t j = 0; j < kPieces; ++j) rest[j] = Piece{} + kInfinity;
    for (std::uint32_t b = first_open[colour]; b < colour_begin[colour + 1]; b += 8) {
      const std::uint32_t end = std::min(b + 8, colour_begin[colour + 1]);
      std::uint64_t lanes = 0;
      for (std::uint32_t i = b; i < end; ++i) {
        double* const r = ratio + i * kLanes;
        lanes |= static_cast<std::uint64_t>(lanes_at_most<Bytes>(r, threshold)) << 8 * (i - b);
        for (std::size_t j = 0; j < kPieces; ++j) {
          const Piece x = piece(r + j * kPiece), stays = x <= threshold ? Piece{} + kInfinity : x;
          rest[j] = stays < rest[j] ? stays : rest[j];
        }
      }
      const std::uint64_t now_frozen = word(frozen + b) | lanes;
      std::memcpy(frozen + b, &now_frozen, sizeof now_frozen);
      for (; lanes != 0; lanes &= lanes - 1) {
        const std::uint32_t p = b * kLanes + static_cast<std::uint32_t>(std::countr_zero(lanes));
        level[p] = ratio[p];
        ratio[p] = kInfinity;
        open_deg[p] = -kInfinity;
        phase_of[p] = phase;
        order[count++] = p;
      }
    }
    colour_low[colour] = lowest_lane<Bytes>(rest);
    while (first_open[colour] < colour_begin[colour + 1] && frozen[first_open[colour]] == kAllLanes)
      ++first_open[colour];

    // Who joins the groups frozen now, and which blocks they touch.
    for (std::uint32_t i = first; i < count; ++i) {
      const std::uint32_t p = order[i];
      giving[i - first] = {level[p], p, only_run == nullptr ? Run{} : only_run[p],
                           has_entry_at ? entry_at + std::size_t{p} * blocks : nullptr};
      if (unsettled[p] != 0) move_crossing(p);
      const Word* const end = all_words + word_begin[p + 1];
      for (const Word* w = all_words + word_begin[p]; w != end; ++w) {
        const std::uint64_t open = ~word(frozen + w->block) & w->bytes;
        if (const std::uint64_t lanes = word(column + w->tile) & open; lanes != 0) {
          join(p, w->tile, lanes);
          w = all_words + word_begin[p];  // the row has changed: look at all of it again
          --w;
          continue;
        }
        const std::uint64_t bits = bytes_set(word(row + w->tile) & open);
        if constexpr (OneWord) {
          touched_word |= bits << w->block;
        } else {
          touched[w->block / 64] |= bits << w->block % 64;
          touched[w->block / 64 + 1] |= (bits >> 1) >> (63 - w->block % 64);
        }
      }
    }
    const Giving* const giving_end = giving + (count - first);

    // What these groups take from the links that are not frozen.
    each_touched([&](std::uint32_t block) __attribute__((always_inline)) {
      double* const before = log + current[block] * (2 * kLanes);
      Piece left[kPieces], gone[kPieces];
      for (std::size_t j = 0; j < kPieces; ++j) {
        left[j] = piece(before + j * kPiece);
        gone[j] = piece(before + kLanes + j * kPiece);
      }
      const auto take = [&](double its_level, const Entry* w) __attribute__((always_inline)) {
        for (std::size_t j = 0; j < kPieces; ++j) {
          Piece taken;
          entries<Bytes, Entry>(w + j * kPiece, taken);
          left[j] -= its_level * taken;
          gone[j] += taken;
        }
      };
      if (only_run != nullptr) {
        for (const Giving* g = giving; g != giving_end; ++g) {
          const std::uint32_t k = block - g->run.block;  // wraps around for a block before the run
          take(g->level, weight + std::size_t{k < g->run.length ? g->run.tile + k : 0} * kLanes);
        }
      } else if (has_entry_at) {
        for (const Giving* g = giving; g != giving_end; ++g) take(g->level, weight + g->entry_at[block]);
      } else {
        for (const Giving* g = giving; g != giving_end; ++g)
          take(g->level, weight + find_tile(g->position, block) * kLanes);
      }
      double* const after = log + top * (2 * kLanes);
      for (std::size_t j = 0; j < kPieces; ++j) {
        piece(after + j * kPiece) = left[j];
        piece(after + kLanes + j * kPiece) = gone[j];
      }
      log_previous[top] = current[block];
      log_block[top] = block;
      current[block] = top++;
      set_ratios(block, left, gone);
    });
  }
  log_top_ = top;
  frozen_count_ = count;
  work_ += top - first_record + blocks;
  num_phases_ = phase;
  restart_ = kNone;
}

// Undoes all phases from restart_ on, notes the blocks whose ratios that changes, and returns the first phase to do.
std::uint32_t MaxMin::roll_back() {
  moves_.clear();
  const std::uint32_t phase = std::min(restart_, num_phases_);
  first_refrozen_ = frozen_count_;
  if (phase == num_phases_) return phase;
  first_refrozen_ = phase_frozen_[phase];
  for (std::uint32_t i = first_refrozen_; i < frozen_count_; ++i) {
    const std::uint32_t p = frozen_order_[i];
    frozen_[p / kLanes] = static_cast<std::uint8_t>(frozen_[p / kLanes] & ~(1u << p % kLanes));
    open_deg_[p] = deg_[p];
    touch_block(p / kLanes);
  }
  frozen_count_ = first_refrozen_;
  const std::uint32_t top = phase_log_[phase];
  const std::uint32_t *block = log_block_.data(), *previous = log_previous_.data();
  std::uint32_t* const current = current_.data();
  std::uint64_t* const touched = touched_blocks_.data();
  for (std::uint32_t r = log_top_; r-- > top;) {
    current[block[r]] = previous[r];
    touched[block[r] / 64] |= std::uint64_t{1} << block[r] % 64;
  }
  log_top_ = top;
  return phase;
}

void MaxMin::grow_log() {
  const std::size_t size = 2 * (log_block_.size() + current_.size());
  log_.resize(2 * kLanes * size);
  log_block_.resize(size);
  log_previous_.resize(size);
}

// The tile of a row for a block; tile 0, which is all zeros, if it has none.
std::uint32_t MaxMin::find_tile(std::uint32_t position, std::uint32_t block) const {
  const auto begin = runs_.begin() + run_begin_[position], end = runs_.begin() + run_begin_[position + 1];
  const auto after = std::upper_bound(begin, end, block, [](std::uint32_t b, const Run& run) { return b < run.block; });
  if (after == begin) return 0;
  const Run& run = *(after - 1);
  return block - run.block < run.length ? run.tile + (block - run.block) : 0;
}

template <std::size_t Bytes>
[[gnu::always_inline]] inline void MaxMin::solve_at() {
  const auto with = [&](auto* weight) __attribute__((always_inline)) {
    current_.size() <= 64 ? solve_with<Bytes, true>(weight) : solve_with<Bytes, false>(weight);
  };
  if (!weight8_.empty()) return with(weight8_.data());
  if (!weight16_.empty()) return with(weight16_.data());
  with(weight_.data());
}
void MaxMin::solve_sse2() { solve_at<16>(); }
[[gnu::target("avx2")]] void MaxMin::solve_avx2() { solve_at<32>(); }
[[gnu::target("avx512f")]] void MaxMin::solve_avx512() { solve_at<64>(); }

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
