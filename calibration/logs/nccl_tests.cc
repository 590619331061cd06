// nccl-tests, text:
//
//   # nThread 1 nGpus 8 minBytes 8 maxBytes 134217728 step: 2(factor) ...
//   #  Rank  0 Group  0 Pid  1 on  host device  0 [0x1b] NVIDIA H100 80GB HBM3
//   #       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw
//   #wrong #        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s) (GB/s)
//        1048576        262144     float     sum      -1    45.10   23.25   40.69      0    44.20   23.72   41.51 0
//
// and its JSON (-J): {"config": .., "devices": [..], "results": [{"size", "count", "type", "redop", "root",
// "out_of_place": {"time", "alg_bw", "bus_bw", "nwrong"}, "in_place": ..}]}.
//
// Traps: sizes on its command line are binary ("-e 128M" is 134217728), its bandwidths decimal (GB/s = 1e9 bytes/s):
// each row's algbw must be size / time, so that a table in another unit is refused. busbw is algbw times 2(n-1)/n for
// all-reduce and (n-1)/n for the others: it is read only to check the number of ranks. The time of the out-of-place
// columns counts. The text of older versions does not name the collective: `count` times the width of the type is the
// whole buffer for all-reduce and 1/n of it for the others, and all-gather and all-to-all then look alike.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "calibration/logs/lines.h"
#include "calibration/logs/log.h"

namespace moesim::calibration {
namespace {

struct Row {
  std::size_t line = 0;  // 0: unknown
  double size = 0, count = 0;
  std::string type, redop;
  double time_us = 0, algbw = 0, busbw = 0, wrong = 0;
};

struct Collected {
  std::string op;  // as the log names it; "" if it does not
  int ranks = 0;
  std::vector<Row> rows;
};

int width_of(std::string_view type) {
  const std::map<std::string_view, int> kWidths{
      {"int8", 1},    {"uint8", 1},    {"char", 1},     {"half", 2},   {"float16", 2}, {"bfloat16", 2}, {"int32", 4},
      {"uint32", 4},  {"float", 4},    {"int64", 8},    {"uint64", 8}, {"double", 8},  {"int", 4},      {"float32", 4},
      {"float64", 8}, {"fp8_e4m3", 1}, {"fp8_e5m2", 1}, {"f8e4m3", 1}, {"f8e5m2", 1}};
  const auto found = kWidths.find(type);
  return found == kWidths.end() ? 0 : found->second;
}

bool close(double a, double b, double relative, double absolute) {
  return std::abs(a - b) <= relative * std::max(std::abs(a), std::abs(b)) + absolute;
}

void check_row(const LogFile& file, const Row& row) {
  if (row.wrong > 0)
    file.fail(row.line, base::format_number(row.wrong, 9) + " wrong values (#wrong)", "a run that verifies");
  if (row.time_us <= 0) file.fail(row.line, "a time of 0", "a time in microseconds, greater than 0");
  const double algbw = row.size / row.time_us / 1e3;  // GB/s, decimal
  // Printed with two decimals; times with two as well.
  const double rounding = 0.006 + algbw * 0.006 / row.time_us;
  if (!close(algbw, row.algbw, 0.01, rounding)) {
    const double gibi = algbw / 1.073741824;
    file.fail(row.line,
              "algbw " + base::format_number(row.algbw, 6) + " GB/s is not size / time, " +
                  base::format_number(algbw, 5) + " GB/s" +
                  (close(gibi, row.algbw, 0.01, rounding) ? " (it is in GiB/s)" : ""),
              "size in bytes, time in microseconds, bandwidth in 1e9 bytes/s");
  }
}

// The collective of a row, by what its columns tell; "" if two are alike.
std::string op_of_columns(const Row& row, int ranks) {
  const int width = width_of(row.type);
  if (width == 0) return "";
  const bool whole = close(row.count * width, row.size, 1e-9, 0);
  const bool shard = close(row.count * width * ranks, row.size, 1e-9, static_cast<double>(width * ranks));
  if (row.redop != "none") return whole ? "all_reduce" : (shard ? "reduce_scatter" : "");
  return "";
}

ImportedLog finish(const LogFile& file, const Collected& found, const LogOptions& options, const std::string& format) {
  if (found.rows.empty()) throw base::InputError(file.name(), "", "no row of results", "at least one");
  std::string op = found.op.empty() ? options.op : found.op;
  if (op == "alltoall" || op == "alltoallv") op = op == "alltoall" ? "all_to_all" : op;
  ImportedLog log;
  log.format = format;
  std::string csv = "op,dtype,num_gpus,bytes,latency_us\n";
  std::size_t kept = 0, empty = 0;
  for (const Row& row : found.rows) {
    // Rows of no bytes, which -b 0 gives and all-to-all of less than a byte per rank, say nothing.
    if (row.size == 0) {
      ++empty;
      continue;
    }
    check_row(file, row);
    const std::string own = op.empty() ? op_of_columns(row, found.ranks) : op;
    if (own.empty()) {
      file.fail(row.line, "the log does not name its collective, and all_gather and alltoall print the same columns",
                "--op all_gather, alltoall, all_reduce or reduce_scatter");
    }
    if (own != "all_gather" && own != "all_to_all" && own != "all_reduce" && own != "reduce_scatter")
      file.fail(row.line, "the collective \"" + own + "\" is not modelled",
                "all_gather, alltoall, all_reduce or reduce_scatter");
    const double n = found.ranks;
    const double factor = (own == "all_reduce" ? 2 : 1) * (n - 1) / n;
    if (row.busbw > 1 && !close(row.busbw, row.algbw * factor, 0.01, 0.02)) {
      file.fail(row.line,
                "busbw / algbw is " + base::format_number(row.busbw / row.algbw, 4) + ", which is not " + own + " on " +
                    std::to_string(found.ranks) + " GPUs",
                base::format_number(factor, 4));
    }
    csv += own + "," + row.type + "," + std::to_string(found.ranks) + "," + base::format_number(row.size, 17) + "," +
           base::format_number(row.time_us, 17) + "\n";
    ++kept;
  }
  if (empty > 0) log.notes.push_back(std::to_string(empty) + " rows of 0 bytes left out");
  if (kept == 0) throw base::InputError(file.name(), "", "no row with bytes", "at least one");
  log.tables.push_back(Table::parse(csv, file.name()));
  return log;
}

}  // namespace

std::optional<ImportedLog> import_nccl_text(std::string_view text, const std::string& name, const LogOptions& options) {
  const LogFile file(name);
  Collected found;
  found.op = program_named(text);
  std::set<std::string> ranks;
  std::string gpu;
  bool header = false;
  for (const Line& line : lines_of(text)) {
    const auto words = words_of(line.text);
    if (words.size() >= 9 && words[0] == "#" && words[1] == "Rank") {
      ranks.insert(std::string(words[2]));
      const std::size_t bus = line.text.find(']');
      if (bus != std::string_view::npos && bus + 2 < line.text.size()) gpu = std::string(line.text.substr(bus + 2));
      continue;
    }
    if (line.text.starts_with("#") && line.text.find("algbw") != std::string_view::npos) {
      if (words.size() < 3 || words[1] != "size") file.fail(line.number, "columns in an order that is not nccl-tests'");
      header = true;
      continue;
    }
    if (line.text.starts_with("#") && header && found.rows.empty()) {
      for (const std::string_view word : words)
        if (word.ends_with("/s)") && word != "(GB/s)")
          file.fail(line.number, "bandwidths in " + std::string(word), "(GB/s)");
    }
    if (!header || line.text.empty() || line.text.starts_with("#")) continue;
    if (line.text.front() < '0' || line.text.front() > '9') continue;  // warnings of NCCL between the rows
    if (words.size() != 13)
      file.fail(line.number, std::to_string(words.size()) + " columns",
                "13: size to #wrong, out-of-place and in-place");
    Row row;
    row.line = line.number;
    row.size = file.number(line.number, words[0], "the size");
    row.count = file.number(line.number, words[1], "the count");
    row.type = words[2];
    row.redop = words[3];
    row.time_us = file.number(line.number, words[5], "the time");
    row.algbw = file.number(line.number, words[6], "algbw");
    row.busbw = file.number(line.number, words[7], "busbw");
    if (words[8] != "N/A") row.wrong = file.number(line.number, words[8], "#wrong");
    found.rows.push_back(std::move(row));
  }
  if (!header) return std::nullopt;
  found.ranks = static_cast<int>(ranks.size());
  if (found.ranks < 2)
    throw base::InputError(name, "line 1", std::to_string(found.ranks) + " lines \"# Rank\" name the GPUs",
                           "the whole output, with one such line for each of at least 2 GPUs");
  ImportedLog log = finish(file, found, options, "nccl-tests, text");
  log.gpu = gpu;
  return log;
}

std::optional<ImportedLog> import_nccl_json(std::string_view text, const std::string& name, const LogOptions& options) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{' || text.find("\"out_of_place\"") == std::string_view::npos)
    return std::nullopt;
  const LogFile file(name);
  const auto document = base::parse_json(text, name);
  return with_lines(text, [&]() -> std::optional<ImportedLog> {
    const base::JsonNode root(document);
    const auto member = [](const base::JsonNode& node, const char* key) {
      if (!node.is_object() || !node.json().contains(key)) node.fail(std::string("has no \"") + key + "\"");
      return node.member(key);
    };
    Collected found;
    found.op = program_named(text);
    const base::JsonNode devices = member(root, "devices");
    found.ranks = static_cast<int>(devices.size());
    if (found.ranks < 2) devices.fail("fewer than 2 devices", "one entry for each GPU");
    const base::JsonNode results = member(root, "results");
    for (std::size_t i = 0; i < results.size(); ++i) {
      const base::JsonNode result = results.at(i);
      const base::JsonNode out = member(result, "out_of_place");
      Row row;
      row.line = line_of_pointer(text, result.pointer());
      row.size = member(result, "size").number(0, 1e15);
      row.count = member(result, "count").number(0, 1e15);
      row.type = member(result, "type").string();
      row.redop = member(result, "redop").string();
      row.time_us = member(out, "time").number(0, 1e12);
      row.algbw = member(out, "alg_bw").number(0, 1e9);
      row.busbw = member(out, "bus_bw").number(0, 1e9);
      const base::JsonNode wrong = member(out, "nwrong");
      if (wrong.is_number()) row.wrong = wrong.number(0, 1e18);
      found.rows.push_back(std::move(row));
    }
    ImportedLog log = finish(file, found, options, "nccl-tests, JSON");
    if (const auto device = devices.at(0); device.is_object() && device.json().contains("name"))
      log.gpu = device.member("name").string();
    return log;
  });
}

}  // namespace moesim::calibration
