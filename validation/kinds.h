// The list of table kinds; each is defined in its own file.
#pragma once

#include <span>

#include "validation/table_kind.h"

namespace moesim::validation {

TableKind nccl_kind();             // N1
TableKind deepep_ll_nodes_kind();  // N2
TableKind deepep_ll_kind();        // N3
TableKind deepep_normal_kind();    // N4
TableKind nvlink_alltoall_kind();  // N5
TableKind fused_moe_kind();        // N6
TableKind gemm_kind();             // C1
TableKind grouped_gemm_kind();     // C2
TableKind wide_ep_kind();          // C3
TableKind mla_kind();              // C4
TableKind serving_kind();          // E1
TableKind moe_kernels_kind();      // M1

// In the order in which they are tried; of several that match, the one with most columns is meant.
std::vector<TableKind> table_kinds();

// By its columns (and values). Throws InputError: what is missing of the nearest kind, or a time in another unit.
TableKind recognise(const calibration::Table& table);

}  // namespace moesim::validation
