// What a matrix product must give, element by element, for checking the libraries' products on the host.
#pragma once

#include <cstdint>
#include <vector>

namespace moesim::kernels {

enum class NumberFormat : std::uint8_t { Bf16, E4m3, E2m1 };

std::size_t bytes_of(NumberFormat format, std::int64_t elements);  // E2m1: two in a byte, the first one low

// The element at `index` of packed numbers. E4m3 has no infinity: 0x7f and 0xff are not a number.
double decode(NumberFormat format, const unsigned char* packed, std::int64_t index);

struct Dot {
  double sum = 0;
  double magnitude = 0;  // sum of the terms' absolute values: what rounding is relative to
};
Dot dot(NumberFormat format, const std::vector<unsigned char>& a, const std::vector<unsigned char>& b, std::int64_t k);

// Whether an element of the result, in bf16, is scale * dot up to rounding: that of bf16 and that of tensor cores,
// whose sums of fp8 products keep some 14 bits (DeepSeek-V3 report, 3.3.2).
bool agrees(std::uint16_t result, const Dot& expected, double scale);

}  // namespace moesim::kernels
