#include "validation/kinds.h"

#include <algorithm>

namespace moesim::validation {
namespace {

using calibration::Table;

// The time column that this column would be in another unit: "latency_ms" for "latency_us".
bool same_stem(std::string_view column, std::string_view time) {
  const std::string_view stem = time.substr(0, time.size() - 3);  // without "_us"
  if (!column.starts_with(stem)) return false;
  const std::string_view unit = column.substr(stem.size());
  return unit.empty() || unit == "_ms" || unit == "_s" || unit == "_ns" || unit == "_sec" || unit == "_seconds" ||
         unit == "_usec" || unit == "_microseconds" || unit == "_milliseconds";
}

std::vector<std::string_view> missing(const TableKind& kind, const Table& table) {
  std::vector<std::string_view> columns;
  std::copy_if(kind.columns.begin(), kind.columns.end(), std::back_inserter(columns),
               [&](std::string_view column) { return !table.has(column); });
  return columns;
}

[[noreturn]] void fail_unknown(const Table& table, const std::vector<TableKind>& kinds) {
  const TableKind* nearest = nullptr;
  double best = 0;
  for (const TableKind& kind : kinds) {
    const double share =
        1 - static_cast<double>(missing(kind, table).size()) / static_cast<double>(kind.columns.size());
    if (share <= best) continue;
    best = share;
    nearest = &kind;
  }
  if (nearest == nullptr || best < 0.4) {
    std::string known;
    for (const TableKind& kind : kinds)
      known += (known.empty() ? "" : ", ") + std::string(kind.name) + " (" + std::string(kind.title) + ")";
    throw base::InputError(table.file(), "line 1", "the columns are those of no known kind of table",
                           known + "; docs/calibration.md lists the columns of each");
  }
  const std::string name = std::string(nearest->name) + " (" + std::string(nearest->title) + ")";
  const auto lacking = missing(*nearest, table);
  for (const std::string_view column : lacking) {
    if (std::find(nearest->time_columns.begin(), nearest->time_columns.end(), column) == nearest->time_columns.end())
      continue;
    for (const std::string& other : table.columns()) {
      if (same_stem(other, column)) {
        throw base::InputError(table.file(), "line 1", "the column \"" + other + "\" of a table " + name,
                               "\"" + std::string(column) + "\", a time in microseconds");
      }
    }
  }
  std::string list;
  for (const std::string_view column : lacking) list += (list.empty() ? "\"" : ", \"") + std::string(column) + "\"";
  throw base::InputError(table.file(), "line 1",
                         list.empty() ? "the values fit no kind of table; by its columns it would be " + name
                                      : "a table " + name + " lacks the column " + list +
                                            "; docs/calibration.md lists the columns of each kind");
}

}  // namespace

std::vector<TableKind> table_kinds() {
  return {nccl_kind(),      deepep_ll_kind(),  deepep_ll_nodes_kind(), deepep_normal_kind(), nvlink_alltoall_kind(),
          fused_moe_kind(), gemm_kind(),       grouped_gemm_kind(),    wide_ep_kind(),       mla_kind(),
          serving_kind(),   moe_kernels_kind()};
}

TableKind recognise(const Table& table) {
  const std::vector<TableKind> kinds = table_kinds();
  const TableKind* best = nullptr;
  for (const TableKind& kind : kinds) {
    if (!missing(kind, table).empty() || (best != nullptr && kind.columns.size() <= best->columns.size())) continue;
    if (kind.matches && !kind.matches(table)) continue;
    best = &kind;
  }
  if (best == nullptr) fail_unknown(table, kinds);
  return *best;
}

}  // namespace moesim::validation
