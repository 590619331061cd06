// The output of DeepEP's tests, one row of a table each:
//
//   test_low_latency    [rank 3] Dispatch bandwidth: 45.60 GB/s, avg_t=164.72 us | Combine bandwidth: 42.21 GB/s,
//   avg_t=.. test_intranode      [tuning] Best dispatch (FP8): SMs 24, NVL chunk 32, 150.49 GB/s (NVL), t: 376.21 us
//                       [tuning] Best combine: SMs 24, NVL chunk 4, 156.80 GB/s (NVL), t: 689.33 us
//   test_internode      [tuning] Best dispatch (FP8): SMs 24, NVL chunk 20, RDMA chunk 28, transmit: 1234.00 us,
//                       notify: 65.00 us, BW: 57.55 GB/s (RDMA), 117.69 GB/s (NVL)
//   both of these       [config] num_tokens=4096, hidden=7168, num_topk=8
//
// Traps: GB/s are decimal and *logical*: every choice of a token counts, wherever its expert is, so that bandwidth
// times time is tokens * top-k * bytes per token; for low latency that has to agree with the shape (the tests mask a
// few choices). The dispatch of bf16 tokens is another message size: not used. With hooks (send/recv time) the times
// leave the wire out: not used. Old versions of the normal tests print no time: bandwidth alone is refused. What the
// log does not say of its shape (the low-latency test says nothing) has to be given. Ranks' times are averaged.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "base/statistics.h"
#include "calibration/logs/lines.h"
#include "calibration/logs/log.h"

namespace moesim::calibration {
namespace {

using Shape = std::map<std::string, double, std::less<>>;

constexpr double kMaskedChoices = 0.15;  // bandwidth * time may be this far off the shape's bytes

// The number after `key` in the line, up to what is no part of a number; nothing if the key is not there.
std::optional<double> after(const LogFile& file, const Line& line, std::string_view key, std::size_t from = 0) {
  const std::size_t at = line.text.find(key, from);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = line.text.substr(at + key.size());
  rest = rest.substr(std::min(rest.find_first_not_of(' '), rest.size()));
  rest = rest.substr(0, rest.find_first_of(" ,|()"));
  return file.number(line.number, rest, "the number after \"" + std::string(key) + "\"");
}

double required(const LogFile& file, const Line& line, std::string_view key, std::size_t from = 0) {
  const auto value = after(file, line, key, from);
  if (!value) file.fail(line.number, "no \"" + std::string(key) + "\"", "a line of DeepEP's tests");
  if (*value <= 0) file.fail(line.number, "0 after \"" + std::string(key) + "\"", "more than 0");
  return *value;
}

void add_given_shape(const std::string& given, Shape& shape) {
  constexpr std::array<std::string_view, 6> kKeys{"nodes", "ep", "experts", "topk", "hidden", "tokens"};
  for (std::size_t begin = 0; begin < given.size();) {
    const std::size_t end = std::min(given.find(',', begin), given.size());
    const std::string part = given.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    if (equals == std::string::npos || std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
      throw base::InputError("--shape", "", "\"" + part + "\"",
                             "ep=8,experts=256,topk=8,hidden=7168,tokens=128,nodes=1");
    const std::string value = part.substr(equals + 1);
    if (value.empty() || value.size() > 9 || value.find_first_not_of("0123456789") != std::string::npos)
      throw base::InputError("--shape", "", "\"" + part + "\"", "a whole number");
    shape.try_emplace(key, std::stod(value));  // what the log says counts
  }
}

double at(const LogFile& file, const Shape& shape, std::string_view key) {
  const auto found = shape.find(key);
  if (found == shape.end()) {
    throw base::InputError(file.name(), "", "the log does not say its " + std::string(key),
                           "--shape " + std::string(key) + "=..., of ep, experts, topk, hidden, tokens, nodes");
  }
  return found->second;
}

std::string shape_cells(const LogFile& file, const Shape& shape) {
  std::string cells;
  for (const char* key : {"nodes", "ep", "hidden", "topk", "experts", "tokens"})
    cells += (cells.empty() ? "" : ",") + base::format_number(at(file, shape, key), 17);
  return cells;
}

constexpr const char* kShapeColumns = "nodes,ep,hidden,topk,experts,tokens_per_rank,";

struct LowLatency {
  std::vector<double> dispatch_us, combine_us;
};

void check_bytes(const LogFile& file, const Line& line, double gb_per_s, double us, double bytes, const char* what) {
  const double moved = gb_per_s * 1e3 * us;
  if (std::abs(moved / bytes - 1) > kMaskedChoices) {
    file.fail(line.number,
              std::string(what) + ": bandwidth times time is " + base::format_number(moved / 1e6, 4) +
                  " MB; the shape sends " + base::format_number(bytes / 1e6, 4) + " MB",
              "the shape that was run (--shape), and 1e9 bytes/s");
  }
}

struct Normal {
  double sms = 0, transmit_us = 0, notify_us = 0;
};

Normal read_best(const LogFile& file, const Line& line) {
  Normal best;
  best.sms = required(file, line, "SMs ");
  if (const auto transmit = after(file, line, "transmit:")) {
    best.transmit_us = *transmit;
    best.notify_us = required(file, line, "notify:");
  } else if (const auto time = after(file, line, " t:")) {
    best.transmit_us = *time;
  } else if (const auto average = after(file, line, "avg_t:")) {
    best.transmit_us = *average;
  } else {
    file.fail(line.number, "a bandwidth without a time", "the output of a version that prints \"t: ... us\"");
  }
  if (best.transmit_us <= 0) file.fail(line.number, "a time of 0", "more than 0");
  return best;
}

}  // namespace

std::optional<ImportedLog> import_deepep(std::string_view text, const std::string& name, const LogOptions& options) {
  const LogFile file(name);
  Shape shape;
  ImportedLog log;
  LowLatency times;
  std::optional<Normal> dispatch, combine;
  std::set<std::string_view> ranks;
  std::vector<std::pair<Line, std::array<double, 4>>> checks;
  bool hooks = false, bf16 = false;
  for (const Line& line : lines_of(text)) {
    if (line.text.starts_with("[config]")) {
      for (const auto& [key, in_log] : {std::pair("tokens", "num_tokens="), std::pair("hidden", "hidden="),
                                        std::pair("topk", "num_topk="), std::pair("experts", "num_experts=")})
        if (const auto value = after(file, line, in_log)) shape[key] = *value;
      if (const auto value = after(file, line, "num_ranks=")) shape["ep"] = *value;
    }
    if (line.text.starts_with("[rank ") && line.text.find("Dispatch send/recv time") != std::string_view::npos)
      hooks = true;
    const std::size_t at_combine = line.text.find("Combine bandwidth:");
    if (line.text.starts_with("[rank ") && line.text.find("Dispatch bandwidth:") != std::string_view::npos) {
      ranks.insert(line.text.substr(0, line.text.find(']')));
      if (at_combine == std::string_view::npos) file.fail(line.number, "no \"Combine bandwidth:\"", "a whole line");
      times.dispatch_us.push_back(required(file, line, "avg_t="));
      times.combine_us.push_back(required(file, line, "avg_t=", at_combine));
      checks.push_back({line,
                        {required(file, line, "Dispatch bandwidth:"), times.dispatch_us.back(),
                         required(file, line, "Combine bandwidth:"), times.combine_us.back()}});
    }
    const std::size_t best = line.text.find("Best dispatch");
    if (best != std::string_view::npos && line.text.find("(FP8)", best) != std::string_view::npos)
      dispatch = read_best(file, line);
    else if (best != std::string_view::npos)
      bf16 = true;
    if (line.text.find("Best combine") != std::string_view::npos) combine = read_best(file, line);
  }
  if (checks.empty() && !dispatch && !combine && !bf16) return std::nullopt;
  if (ranks.size() > 1) shape["ep"] = static_cast<double>(ranks.size());
  add_given_shape(options.shape, shape);
  shape.try_emplace("nodes", std::ceil(at(file, shape, "ep") / 8));
  const std::string cells = shape_cells(file, shape);
  if (!checks.empty()) {
    log.format = "DeepEP, test_low_latency";
    const double hidden = at(file, shape, "hidden");
    const double choices = at(file, shape, "tokens") * at(file, shape, "topk");
    for (const auto& [line, v] : checks) {
      check_bytes(file, line, v[0], v[1], choices * (hidden + hidden / 128 * 4 + 16), "dispatch");
      check_bytes(file, line, v[2], v[3], choices * hidden * 2, "combine");
    }
    log.tables.push_back(Table::parse(std::string(kShapeColumns) + "dispatch_us,combine_us\n" + cells + "," +
                                          base::format_number(base::mean(times.dispatch_us), 17) + "," +
                                          base::format_number(base::mean(times.combine_us), 17) + "\n",
                                      name));
    if (hooks) log.notes.push_back("send/recv times with hooks leave the wire out: not used");
    return log;
  }
  log.format = "DeepEP, normal kernels";
  if (!dispatch || !combine) {
    throw base::InputError(name, "", dispatch ? "no \"Best combine\"" : "no \"Best dispatch (FP8)\"",
                           "the whole output of test_intranode or test_internode");
  }
  if (bf16) log.notes.push_back("the dispatch of bf16 tokens is not used");
  std::string row = cells;
  for (const Normal& phase : {*dispatch, *combine})
    row += "," + base::format_number(phase.sms, 17) + "," + base::format_number(phase.transmit_us, 17) + "," +
           base::format_number(phase.notify_us, 17);
  log.tables.push_back(Table::parse(std::string(kShapeColumns) +
                                        "dispatch_sms,dispatch_transmit_us,dispatch_notify_us,combine_sms,"
                                        "combine_transmit_us,combine_notify_us\n" +
                                        row + "\n",
                                    name));
  return log;
}

}  // namespace moesim::calibration
