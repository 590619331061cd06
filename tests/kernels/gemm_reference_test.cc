// The reference that the libraries' matrix products are checked against.
#include "kernels/harness/gemm_reference.h"

#include <bit>
#include <cmath>
#include <random>

#include <doctest/doctest.h>

namespace moesim::kernels {
namespace {

double of(NumberFormat format, std::vector<unsigned char> bytes, std::int64_t index = 0) {
  return decode(format, bytes.data(), index);
}

// To the nearest bf16.
std::uint16_t to_bf16(double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

std::vector<unsigned char> random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<unsigned char> bytes(count);
  for (std::size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<unsigned char>(random() & (i % 2 == 0 ? 0x3fu : 0xbfu));
  return bytes;
}

}  // namespace

TEST_CASE("numbers of 16, 8 and 4 bits are those of their formats' definitions") {
  CHECK(of(NumberFormat::Bf16, {0x80, 0x3f}) == 1);
  CHECK(of(NumberFormat::Bf16, {0, 0, 0x40, 0xc0}, 1) == -3);
  CHECK(of(NumberFormat::E4m3, {0x38}) == 1);
  CHECK(of(NumberFormat::E4m3, {0x7e}) == 448);                // the largest
  CHECK(of(NumberFormat::E4m3, {0x01}) == std::ldexp(1, -9));  // the smallest above zero
  CHECK(of(NumberFormat::E4m3, {0x08}) == std::ldexp(1, -6));  // the smallest normal one
  CHECK(of(NumberFormat::E4m3, {0xb8}) == -1);
  CHECK(std::isnan(of(NumberFormat::E4m3, {0x7f})));
  CHECK(of(NumberFormat::E2m1, {0x7a}, 0) == -1);  // 0xa: the low half comes first
  CHECK(of(NumberFormat::E2m1, {0x7a}, 1) == 6);
  CHECK(bytes_of(NumberFormat::Bf16, 64) == 128);
  CHECK(bytes_of(NumberFormat::E4m3, 64) == 64);
  CHECK(bytes_of(NumberFormat::E2m1, 64) == 32);
}

TEST_CASE("a product is accepted up to rounding, and neither with another row, nor another scale, nor poison") {
  constexpr std::int64_t kK = 2048;
  const double scale = 0.25;
  for (const NumberFormat format : {NumberFormat::Bf16, NumberFormat::E4m3, NumberFormat::E2m1}) {
    const auto a = random_bytes(bytes_of(format, kK), 1), b = random_bytes(bytes_of(format, kK), 2),
               other = random_bytes(bytes_of(format, kK), 3);
    const Dot right = dot(format, a, b, kK), wrong = dot(format, a, other, kK);
    CHECK(right.magnitude >= std::abs(right.sum));
    CHECK(agrees(to_bf16(scale * right.sum), right, scale));
    CHECK_FALSE(agrees(to_bf16(scale * wrong.sum), right, scale));
    CHECK_FALSE(agrees(to_bf16(1.1 * scale * right.sum), right, scale));
    CHECK_FALSE(agrees(0xffff, right, scale));
  }
}

}  // namespace moesim::kernels
