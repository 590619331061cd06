// The output tiles that a GPU's matrix product kernels offer.
#pragma once

#include <span>
#include <string_view>

#include "workloads/model.h"

namespace moesim::lowering {

// A tile of `rows` x `columns` of C per SM; `sms` SMs work side by side on `sms * rows` rows and share the fetched
// columns.
struct GemmTile {
  double rows = 0, columns = 0;
  double sms = 1;
};

// By what the tensor cores' instruction takes:
//   Ampere, Ada, Blackwell sm_120 (warp-wide mma): 64x64 to 128x256, where the largest fill the SMs those alone
//   Hopper (warp-group mma): one side 64, 128 or 256, the other 16 to 256, up to 128 x 256, alone or in clusters of two
//   Blackwell (tensor memory): one side 128, the other 16 to 256, alone or in pairs
// Products with block scales (DeepGEMM): 64 rows for up to 64 rows of A, 128 beyond, columns in steps of 16 up to 160.
// A larger product of `rows` x `columns` never has a tile that a smaller one lacks, but for the step from 64 to 128.
std::span<const GemmTile> gemm_tiles(std::string_view family, workloads::Dtype dtype, double rows, double columns,
                                     double sms);

}  // namespace moesim::lowering
