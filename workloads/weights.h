// Formats in which weights are stored, and in which they are multiplied.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/json.h"

namespace moesim::workloads {

// What a matrix product computes in.
enum class Dtype : std::uint8_t { Bf16, Fp8, Fp8Block, Nvfp4 };
std::string_view to_string(Dtype dtype);  // "bf16", "fp8", "fp8_block", "nvfp4"
Dtype read_dtype(const base::JsonNode& node);

// What a weight is stored as: a Dtype, or 4 bits that are unpacked to be multiplied in bf16.
enum class WeightFormat : std::uint8_t { Bf16, Fp8, Fp8Block, Nvfp4, Mxfp4, Int4 };
std::string_view to_string(WeightFormat format);  // as of Dtype, "mxfp4", "int4"
WeightFormat read_weight_format(const base::JsonNode& node);
Dtype multiplied_in(WeightFormat format);

// Bits of one weight with its share of the block scales: bf16 16; fp8 8 (one scale per tensor); fp8_block
// 8 + 32/128^2 (a 4-byte scale per 128 x 128 block); nvfp4 4 + 8/16 (a 1-byte scale per 16 elements); mxfp4 4 + 8/32;
// int4 4 + 16/32 (a bf16 scale per 32).
double bits_per_weight(WeightFormat format);
double bits_per_weight(Dtype dtype);

}  // namespace moesim::workloads
