#include "workloads/trace_summary.h"

#include <algorithm>

#include "base/error.h"
#include "workloads/npy_stream.h"
#include "workloads/trace_file.h"

namespace moesim::workloads {
namespace {

// Of an expert in a layer: the latest token that chose it (its number, above) and how many did (below 2^32), in one
// word, as both change with every choice.
using Cell = std::uint64_t;
constexpr std::int64_t load_of(Cell cell) { return static_cast<std::int64_t>(cell & 0xffffffff); }

// Rows of one layer, `stride` ids apart, of tokens numbered from `first`: counts them in the layer's cells. Returns how
// many experts the tokens share with the token before them; sets `twice` to a token that chose an expert twice.
template <std::size_t K>
std::int64_t count_rows(const std::uint16_t* row, std::size_t rows, std::size_t stride, std::size_t k,
                        std::uint32_t first, Cell* cells, std::uint32_t& twice) {
  std::uint32_t shared = 0;
  for (std::size_t t = 0; t < rows; ++t, row += stride) {
    const Cell now = first + t;
    bool again = false;
    for (std::size_t i = 0; i < (K == 0 ? k : K); ++i) {
      Cell& cell = cells[row[i]];
      const Cell before = cell, since = now - (before >> 32);
      shared += static_cast<std::uint32_t>(since == 1);
      again |= since == 0;
      cell = now << 32 | ((before + 1) & 0xffffffff);
    }
    if (again) twice = static_cast<std::uint32_t>(now);
  }
  return shared;
}

// Takes blocks of tokens, [tokens][layers][top_k].
class Summarizer {
 public:
  Summarizer(TraceSummary& summary, std::int64_t tokens)
      : summary_(summary),
        k_(static_cast<std::size_t>(summary.top_k)),
        width_(static_cast<std::size_t>(summary.layers) * k_),
        step_((tokens + kSampleTokens - 1) / kSampleTokens) {
    if (tokens >= std::int64_t{0xfffffffe})
      throw base::InputError(summary.file, "", std::to_string(tokens) + " tokens", "fewer than 2^32 - 2");
  }

  void add(std::span<const std::uint16_t> ids) {
    // Padding wraps to 0. A least and a greatest value: compilers make vectors of that.
    std::uint16_t least = 0xffff, most = 0;
    for (const std::uint16_t id : ids) {
      const auto above = static_cast<std::uint16_t>(id + 1);
      least = std::min(least, above);
      most = std::max(most, above);
    }
    if (columns_.empty() && most > 0) choose_layers(ids);
    while (most > stride_) grow(std::max<std::size_t>(256, 2 * stride_));
    summary_.experts = std::max<std::int32_t>(summary_.experts, most);
    numbers_.clear();
    if (least == 0 || columns_.size() * k_ != width_)
      add_rows(compact(ids));
    else
      add_rows(ids);
    seen_ += static_cast<std::int64_t>(ids.size() / width_);
  }

  void finish() {
    summary_.tokens = kept_;
    if (kept_ == 0) throw base::InputError(summary_.file, "", "a trace without tokens", "at least one token");
    summary_.layers = static_cast<std::int32_t>(columns_.size());
    for (std::size_t layer = 0; layer < columns_.size(); ++layer) {
      std::vector<std::int64_t> loads;
      for (std::size_t e = 0; e < static_cast<std::size_t>(summary_.experts); ++e)
        loads.push_back(e < stride_ ? load_of(cells_[layer * stride_ + e]) : 0);
      summary_.statistics.push_back(load_statistics(loads));
      if (kept_ > 1)
        summary_.statistics.back().adjacent_share =
            static_cast<double>(shared_[layer]) / static_cast<double>((kept_ - 1) * summary_.top_k);
      summary_.loads.push_back(std::move(loads));
    }
    make_sample();
  }

 private:
  // Which layers have experts: those that some token of the first block has some for.
  void choose_layers(std::span<const std::uint16_t> ids) {
    for (std::size_t column = 0; column < width_; column += k_) {
      bool empty = true;
      for (std::size_t at = column; at < ids.size() && empty; at += width_)
        empty = row_without_experts(ids.subspan(at, k_));
      if (!empty) columns_.push_back(column);
    }
    if (columns_.empty())
      for (std::size_t column = 0; column < width_; column += k_) columns_.push_back(column);
    for (std::size_t column = 0, next = 0; column < width_; column += k_) {
      if (next < columns_.size() && columns_[next] == column)
        ++next;
      else
        summary_.layers_dropped.push_back(static_cast<std::int32_t>(column / k_));
    }
    shared_.assign(columns_.size(), 0);
    cells_.clear();
    stride_ = 0;
  }

  void grow(std::size_t stride) {
    std::vector<Cell> wider(columns_.size() * stride);
    for (std::size_t layer = 0; layer < columns_.size() && stride_ > 0; ++layer)
      std::copy_n(cells_.begin() + static_cast<std::ptrdiff_t>(layer * stride_), stride_,
                  wider.begin() + static_cast<std::ptrdiff_t>(layer * stride));
    cells_ = std::move(wider);
    stride_ = stride;
  }

  // The block without padding tokens and layers without experts.
  std::span<const std::uint16_t> compact(std::span<const std::uint16_t> ids) {
    compacted_.clear();
    for (std::size_t at = 0; at < ids.size(); at += width_) {
      const auto token = ids.subspan(at, width_);
      const std::int64_t number = seen_ + static_cast<std::int64_t>(at / width_);
      for (std::size_t column = 0, next = 0; column < width_; column += k_) {
        if (next < columns_.size() && columns_[next] == column)
          ++next;
        else if (!row_without_experts(token.subspan(column, k_)))
          fail(number, column / k_, "experts in a layer that has none for the tokens before");
      }
      const std::size_t first = columns_.empty() ? 0 : columns_.front();
      const bool padding = columns_.empty() || token[first] == kPaddingId;
      for (const std::size_t column : columns_)
        for (const std::uint16_t id : token.subspan(column, k_))
          if ((id == kPaddingId) != padding) fail(number, column / k_, "expert id -1 (padding) in part of a token");
      if (padding) {
        ++summary_.padding_dropped;
        continue;
      }
      numbers_.push_back(number);
      for (const std::size_t column : columns_)
        compacted_.insert(compacted_.end(), token.begin() + static_cast<std::ptrdiff_t>(column),
                          token.begin() + static_cast<std::ptrdiff_t>(column + k_));
    }
    return compacted_;
  }

  // [tokens][layers with experts][k]. Layer by layer over some tokens: what is read and counted then stays in the
  // nearest cache.
  void add_rows(std::span<const std::uint16_t> ids) {
    constexpr std::size_t kTogether = 128;
    const std::size_t width = columns_.size() * k_, tokens = width == 0 ? 0 : ids.size() / width;
    const auto count = k_ == 8 ? count_rows<8> : k_ == 4 ? count_rows<4> : count_rows<0>;
    for (std::size_t t = 0; t < tokens; t += kTogether) {
      // Unused experts have a latest token 0: the first one's number is 2, so that 0 is not the one before it.
      const auto first = static_cast<std::uint32_t>(kept_ + static_cast<std::int64_t>(t) + 2);
      for (std::size_t layer = 0; layer < columns_.size(); ++layer) {
        std::uint32_t twice = 0;
        shared_[layer] += count(ids.data() + t * width + layer * k_, std::min(kTogether, tokens - t), width, k_, first,
                                &cells_[layer * stride_], twice);
        if (twice == 0) continue;
        const std::size_t at = t + (twice - first);
        fail(numbers_.empty() ? seen_ + static_cast<std::int64_t>(at) : numbers_[at], columns_[layer] / k_,
             "an expert chosen twice");
      }
    }
    for (std::size_t t = 0; t < tokens; ++t, ++kept_) {
      if (kept_ % step_ != 0) continue;
      sample_.insert(sample_.end(), ids.begin() + static_cast<std::ptrdiff_t>(t * width),
                     ids.begin() + static_cast<std::ptrdiff_t>((t + 1) * width));
      ++summary_.sample.tokens;
    }
  }

  [[noreturn]] void fail(std::int64_t token, std::size_t layer, const std::string& problem) const {
    throw base::InputError(summary_.file, "token " + std::to_string(token) + ", layer " + std::to_string(layer),
                           problem);
  }

  void make_sample() {
    Trace& sample = summary_.sample;
    sample.layers = summary_.layers;
    sample.top_k = summary_.top_k;
    sample.passes = {0, sample.tokens};
    const std::size_t width = columns_.size() * k_;
    for (std::size_t column = 0; column < width; column += k_) {
      for (std::size_t at = column; at < sample_.size(); at += width)
        sample.ids.insert(sample.ids.end(), sample_.begin() + static_cast<std::ptrdiff_t>(at),
                          sample_.begin() + static_cast<std::ptrdiff_t>(at + k_));
    }
  }

  TraceSummary& summary_;
  std::size_t k_, width_;
  std::int64_t step_;                 // one token in so many is in the sample
  std::vector<std::size_t> columns_;  // where in a token each layer with experts begins; empty until some token has any
  std::size_t stride_ = 0;
  std::vector<Cell> cells_;  // [layers with experts][stride]
  std::vector<std::int64_t> shared_;
  std::vector<std::uint16_t> sample_;  // token by token
  std::vector<std::uint16_t> compacted_;
  std::vector<std::int64_t> numbers_;  // in the file, of compacted_'s tokens
  std::int64_t seen_ = 0, kept_ = 0;
};

void summarize(const Trace& trace, TraceSummary& summary) {
  Summarizer summarizer(summary, trace.tokens);
  std::vector<std::uint16_t> token;
  for (std::int64_t t = 0; t < trace.tokens; ++t) {
    token.clear();
    for (std::int32_t layer = 0; layer < trace.layers; ++layer) {
      const auto ids = trace.layer(layer).slice(t, 1).experts;
      token.insert(token.end(), ids.begin(), ids.end());
    }
    summarizer.add(token);
  }
  summarizer.finish();
}

}  // namespace

TraceSummary summarize_trace(const std::string& path, std::int32_t layers, std::int32_t experts) {
  TraceSummary summary;
  summary.file = path;
  summary.experts = experts;
  const auto check_layers = [&](bool wrong) {
    if (layers != 0 && wrong)
      throw base::InputError(
          path, "", std::to_string(summary.layers) + " layers in the file, " + std::to_string(layers) + " asked for");
  };
  if (path.ends_with(".npy") || path.ends_with(".npz")) {
    NpyStream stream(path);
    summary.layers = stream.layers();
    summary.top_k = stream.top_k();
    check_layers(layers > summary.layers);
    Summarizer summarizer(summary, stream.tokens());
    for (auto ids = stream.next(); !ids.empty(); ids = stream.next()) summarizer.add(ids);
    summarizer.finish();
    check_layers(layers != summary.layers);
  } else {
    const Trace trace = read_trace_file(path, {layers});
    summary.layers = trace.layers;
    summary.top_k = trace.top_k;
    summarize(trace, summary);
    summary.padding_dropped = trace.padding_dropped;
    summary.layers_dropped = trace.layers_dropped;
  }
  if (experts != 0 && summary.experts > experts)
    throw base::InputError(path, "",
                           "expert id " + std::to_string(summary.experts - 1) + ", but the model has " +
                               std::to_string(experts) + " experts");
  return summary;
}

}  // namespace moesim::workloads
