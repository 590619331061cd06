#include "sim/lowering/gemm_tiles.h"

#include <array>
#include <vector>

namespace moesim::lowering {
namespace {

constexpr double kLargestTile = 128 * 256;  // accumulators of fp32 that fit beside a pipeline of operands
constexpr std::array<double, 6> kFreeSide{16, 32, 64, 128, 192, 256};

std::vector<GemmTile> instruction_tiles(std::span<const double> fixed_side) {
  std::vector<GemmTile> tiles;
  for (const double fixed : fixed_side) {
    for (const double free : kFreeSide) {
      if (fixed * free > kLargestTile) continue;
      for (const double sms : {1.0, 2.0}) {
        tiles.push_back({fixed, free, sms});
        if (free != fixed) tiles.push_back({free, fixed, sms});
      }
    }
  }
  return tiles;
}

std::vector<GemmTile> block_scaled_tiles(double rows) {
  std::vector<GemmTile> tiles;
  for (int columns = 16; columns <= 160; columns += 16) tiles.push_back({rows, static_cast<double>(columns), 1});
  return tiles;
}

}  // namespace

std::span<const GemmTile> gemm_tiles(std::string_view family, workloads::Dtype dtype, double rows, double columns,
                                     double sms) {
  static const std::vector<GemmTile> block_scaled_64 = block_scaled_tiles(64),
                                     block_scaled_128 = block_scaled_tiles(128);
  static const std::vector<GemmTile> hopper = instruction_tiles(std::array{64.0, 128.0, 256.0});
  static const std::vector<GemmTile> blackwell = instruction_tiles(std::array{128.0});
  static constexpr std::array<GemmTile, 6> warp_wide{
      {{128, 256, 1}, {256, 128, 1}, {64, 64, 1}, {64, 128, 1}, {128, 64, 1}, {128, 128, 1}}};
  if (dtype == workloads::Dtype::Fp8Block) return rows <= 64 ? block_scaled_64 : block_scaled_128;
  if (family == "hopper") return hopper;
  if (family == "blackwell") return blackwell;
  const bool fills = rows * columns > sms * kLargestTile;
  return fills ? std::span(warp_wide).first(2) : std::span(warp_wide);
}

}  // namespace moesim::lowering
