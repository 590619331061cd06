#include "kernels/harness/gemm_reference.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace moesim::kernels {
namespace {

constexpr double kOutputRounding = 0x1p-8, kSumRounding = 0x1p-10;

double bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

double e4m3(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 3 & 15u), mantissa = static_cast<int>(bits & 7u);
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<double>::quiet_NaN();
  const double value = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (bits & 0x80u) != 0 ? -value : value;
}

double e2m1(unsigned bits) {
  constexpr std::array<double, 8> kValues{0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return (bits & 8u) != 0 ? -kValues[bits & 7u] : kValues[bits & 7u];
}

}  // namespace

std::size_t bytes_of(NumberFormat format, std::int64_t elements) {
  const auto count = static_cast<std::size_t>(elements);
  return format == NumberFormat::Bf16 ? 2 * count : format == NumberFormat::E4m3 ? count : count / 2;
}

double decode(NumberFormat format, const unsigned char* packed, std::int64_t index) {
  const auto i = static_cast<std::size_t>(index);
  switch (format) {
    case NumberFormat::Bf16:
      return bf16(static_cast<std::uint16_t>(packed[2 * i] | packed[2 * i + 1] << 8));
    case NumberFormat::E4m3:
      return e4m3(packed[i]);
    case NumberFormat::E2m1:
      return e2m1(i % 2 == 0 ? packed[i / 2] & 15u : static_cast<unsigned>(packed[i / 2]) >> 4);
  }
  return 0;
}

Dot dot(NumberFormat format, const std::vector<unsigned char>& a, const std::vector<unsigned char>& b, std::int64_t k) {
  Dot result;
  for (std::int64_t i = 0; i < k; ++i) {
    const double term = decode(format, a.data(), i) * decode(format, b.data(), i);
    result.sum += term;
    result.magnitude += std::abs(term);
  }
  return result;
}

bool agrees(std::uint16_t result, const Dot& expected, double scale) {
  const double error = std::abs(bf16(result) - scale * expected.sum);
  return error <= scale * (kOutputRounding * std::abs(expected.sum) + kSumRounding * expected.magnitude);
}

}  // namespace moesim::kernels
