#include "workloads/expert_counts.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "workloads/npy_header.h"
#include "workloads/npy_source.h"

namespace moesim::workloads {
namespace {

constexpr std::array<std::string_view, 2> kNames{"logical_count", "weight"};
constexpr std::uint64_t kMostLayers = 10000, kMostExperts = 65535;

double read_real(const char* bytes, std::size_t size, bool big_endian) {
  std::array<char, 8> own{};
  std::copy_n(bytes, size, own.begin());
  if (big_endian != (std::endian::native == std::endian::big))
    std::reverse(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(size));
  if (size == 8) return std::bit_cast<double>(own);
  float value = 0;
  std::memcpy(&value, own.data(), sizeof(value));
  return value;
}

// Steps, layers and experts of the shape of an array.
std::array<std::uint64_t, 3> check_shape(const std::vector<std::uint64_t>& shape, const std::string& path) {
  std::array<std::uint64_t, 3> dimensions{1, 1, 1};
  if (shape.size() == 2 || shape.size() == 3) std::copy_backward(shape.begin(), shape.end(), dimensions.end());
  if ((shape.size() != 2 && shape.size() != 3) || std::count(shape.begin(), shape.end(), 0U) > 0 ||
      dimensions[1] > kMostLayers || dimensions[2] > kMostExperts)
    throw base::InputError(path, "header", "shape " + shape_text(shape),
                           "[layers, experts] or [steps, layers, experts], at most " + std::to_string(kMostLayers) +
                               " layers of " + std::to_string(kMostExperts) + " experts");
  return dimensions;
}

std::string place_of(std::uint64_t layer, std::uint64_t expert) {
  return "layer " + std::to_string(layer) + ", expert " + std::to_string(expert);
}

void add_count(ExpertCounts& sums, std::uint64_t layer, std::uint64_t expert, double count, const std::string& path) {
  if (!std::isfinite(count) || count < 0)
    throw base::InputError(path, place_of(layer, expert), "count " + base::format_number(count, 6),
                           "a finite number of at least 0");
  sums.counts[layer * static_cast<std::uint64_t>(sums.experts) + expert] += count;
}

ExpertCounts read_array(const std::string& path) {
  const auto source = open_npy(path, kNames);
  const NpyHeader header = read_npy_header(*source, path);
  const bool real =
      header.descr.size() == 3 && header.descr[1] == 'f' && (header.descr[2] == '4' || header.descr[2] == '8');
  const NpyElement element =
      real ? NpyElement{static_cast<std::size_t>(header.descr[2] - '0'), true, header.descr[0] == '>'}
           : parse_npy_element(header.descr, path);
  const auto [steps, layers, experts] = check_shape(header.shape, path);
  check_npy_size(header, element.size, source->size() - header.data, path);
  ExpertCounts sums;
  sums.layers = static_cast<std::int32_t>(layers);
  sums.experts = static_cast<std::int32_t>(experts);
  sums.counts.assign(layers * experts, 0);
  // A run of the fastest dimension at a time, in the order of the file.
  const std::uint64_t outer = header.fortran_order ? experts : steps, inner = header.fortran_order ? steps : experts;
  std::vector<char> run(inner * element.size);
  std::uint64_t at = header.data;
  for (std::uint64_t o = 0; o < outer; ++o) {
    for (std::uint64_t layer = 0; layer < layers; ++layer, at += run.size()) {
      source->read(at, run.data(), run.size());
      for (std::uint64_t i = 0; i < inner; ++i) {
        const char* bytes = run.data() + i * element.size;
        const std::uint64_t expert = header.fortran_order ? o : i;
        if (real) {
          add_count(sums, layer, expert, read_real(bytes, element.size, element.big_endian), path);
        } else {
          const auto value = element.read(bytes);
          if (!value) throw base::InputError(path, place_of(layer, expert), "count above 2^63");
          add_count(sums, layer, expert, static_cast<double>(*value), path);
        }
      }
    }
  }
  return sums;
}

ExpertCounts read_json(const std::string& path) {
  const base::JsonDocument document = base::load_json(path);
  const base::JsonNode root(document);
  if (!root.json().is_object()) root.fail("not an object", "{\"logical_count\": [[...]]} or {\"weight\": [[...]]}");
  const bool logical = root.json().contains("logical_count");
  if (!logical && !root.json().contains("weight")) root.fail("no expert counts", "\"logical_count\" or \"weight\"");
  const base::JsonNode table = root.member(logical ? "logical_count" : "weight");
  std::vector<base::JsonNode> steps;
  const bool of_steps = table.size() > 0 && table.at(0).size() > 0 && table.at(0).at(0).json().is_array();
  for (std::size_t s = 0; s < (of_steps ? table.size() : 1); ++s) steps.push_back(of_steps ? table.at(s) : table);
  ExpertCounts sums;
  for (const base::JsonNode& step : steps) {
    const std::size_t layers = step.size(), experts = layers > 0 ? step.at(0).size() : 0;
    if (layers == 0 || experts == 0 || layers > kMostLayers || experts > kMostExperts)
      step.fail("no table of counts", "[layers][experts]");
    if (sums.counts.empty()) {
      sums.layers = static_cast<std::int32_t>(layers);
      sums.experts = static_cast<std::int32_t>(experts);
      sums.counts.assign(layers * experts, 0);
    }
    if (static_cast<std::int32_t>(layers) != sums.layers)
      step.fail(std::to_string(layers) + " layers", std::to_string(sums.layers) + ", as the step before has");
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const base::JsonNode row = step.at(layer);
      if (static_cast<std::int32_t>(row.size()) != sums.experts)
        row.fail(std::to_string(row.size()) + " experts", std::to_string(sums.experts) + ", as the first row has");
      for (std::size_t e = 0; e < row.size(); ++e) add_count(sums, layer, e, row.at(e).number(0, 1e300), path);
    }
  }
  return sums;
}

void drop_layers(ExpertCounts& sums) {
  const auto experts = static_cast<std::size_t>(sums.experts);
  std::vector<double> kept;
  for (std::int32_t layer = 0; layer < sums.layers; ++layer) {
    const auto row = sums.layer(layer);
    if (std::all_of(row.begin(), row.end(), [](double c) { return c == 0; }))
      sums.layers_dropped.push_back(layer);
    else
      kept.insert(kept.end(), row.begin(), row.end());
  }
  sums.counts = std::move(kept);
  sums.layers = static_cast<std::int32_t>(sums.counts.size() / experts);
}

}  // namespace

ExpertCounts read_expert_counts(const std::string& path) {
  const bool json = path.ends_with(".json");
  if (!json && !path.ends_with(".npy") && !path.ends_with(".npz"))
    throw base::InputError(path, "", "unknown kind of expert counts", "a name ending in .npy, .npz or .json");
  ExpertCounts sums = json ? read_json(path) : read_array(path);
  drop_layers(sums);
  if (sums.layers == 0) throw base::InputError(path, "", "no count above 0");
  sums.source = path + " (content " + base::content_hash(base::read_file(path)) + ")";
  return sums;
}

std::size_t npy_dimensions(const std::string& path) {
  static constexpr std::array<std::string_view, 4> kAny{"routed_experts", "topk_ids", "logical_count", "weight"};
  const auto source = open_npy(path, kAny);
  return read_npy_header(*source, path).shape.size();
}

}  // namespace moesim::workloads
