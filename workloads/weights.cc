#include "workloads/weights.h"

#include <array>

namespace moesim::workloads {
namespace {

constexpr std::array<std::string_view, 6> kNames{"bf16", "fp8", "fp8_block", "nvfp4", "mxfp4", "int4"};
constexpr std::array<double, 6> kBits{16, 8, 8 + 32.0 / (128 * 128), 4 + 8.0 / 16, 4 + 8.0 / 32, 4 + 16.0 / 32};

}  // namespace

std::string_view to_string(Dtype dtype) { return kNames[static_cast<std::size_t>(dtype)]; }
std::string_view to_string(WeightFormat format) { return kNames[static_cast<std::size_t>(format)]; }

Dtype read_dtype(const base::JsonNode& node) {
  return static_cast<Dtype>(node.one_of({"bf16", "fp8", "fp8_block", "nvfp4"}));
}

WeightFormat read_weight_format(const base::JsonNode& node) {
  return static_cast<WeightFormat>(node.one_of({"bf16", "fp8", "fp8_block", "nvfp4", "mxfp4", "int4"}));
}

Dtype multiplied_in(WeightFormat format) {
  return format >= WeightFormat::Mxfp4 ? Dtype::Bf16 : static_cast<Dtype>(format);
}

double bits_per_weight(WeightFormat format) { return kBits[static_cast<std::size_t>(format)]; }
double bits_per_weight(Dtype dtype) { return kBits[static_cast<std::size_t>(dtype)]; }

}  // namespace moesim::workloads
