// nvbandwidth --json:
//
//   {"nvbandwidth": {"testcases": [{"name": "device_to_device_memcpy_write_sm", "status": "Passed",
//                                   "bandwidth_matrix": [["N/A", "391.2"], ["390.8", "N/A"]]}]}}
//
// Traps: cells are texts; "N/A" is the diagonal or a pair without a path; bandwidths are decimal GB/s, but the cells of
// *_latency_* are nanoseconds, of a load that goes there and comes back (half of it is one way); bidirectional tests
// count both directions together; a test that was waived has no matrix. Whether device_local_copy counts the bytes
// read beside those written is not said: it is not used.
#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "base/statistics.h"
#include "calibration/logs/lines.h"
#include "calibration/logs/log.h"

namespace moesim::calibration {
namespace {

constexpr double kSlowPair = 0.9;  // of the median: worth a warning
constexpr double kLeastError = 0.005;

double cell_value(const base::JsonNode& cell) {
  const std::string text = cell.string();
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != text.size() || !(value > 0) || !std::isfinite(value))
    cell.fail("no number \"" + text + "\"", "\"N/A\" or a positive number as text, like \"391.2\"");
  return value;
}

struct Test {
  std::string name;
  std::vector<double> cells;
  double median = 0;
};

// The test whose median is the highest among those of a family; empty cells if there is none.
Test best_of(const std::vector<Test>& tests, std::initializer_list<std::string_view> prefixes) {
  Test best;
  for (const Test& test : tests)
    for (const std::string_view prefix : prefixes)
      if (test.name.starts_with(prefix) && test.median > best.median) best = test;
  return best;
}

Reading reading(Quantity quantity, const Test& test, double unit, const std::string& suffix = "") {
  const double low = base::quantile(test.cells, 0.1), high = base::quantile(test.cells, 0.9);
  return {quantity, test.median * unit, std::max(kLeastError, (high - low) / 2 / test.median),
          test.name + suffix + ", median of " + std::to_string(test.cells.size()), 0};
}

}  // namespace

std::optional<ImportedLog> import_nvbandwidth(std::string_view text, const std::string& name) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{' || text.find("\"nvbandwidth\"") == std::string_view::npos)
    return std::nullopt;
  const auto document = base::parse_json(text, name);
  return with_lines(text, [&]() -> std::optional<ImportedLog> {
    const base::JsonNode root(document);
    if (!root.json().contains("nvbandwidth")) return std::nullopt;
    const base::JsonNode body = root.member("nvbandwidth");
    if (!body.is_object() || !body.json().contains("testcases")) body.fail("has no \"testcases\"");
    const base::JsonNode cases = body.member("testcases");
    ImportedLog log;
    log.format = "nvbandwidth, JSON";
    std::vector<Test> tests;
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const base::JsonNode test = cases.at(i);
      for (const char* key : {"name", "status"})
        if (!test.is_object() || !test.json().contains(key)) test.fail(std::string("has no \"") + key + "\"");
      const std::string which = test.member("name").string(), status = test.member("status").string();
      if (status == "Waived" || status == "Not Run") {
        log.notes.push_back(which + ": " + status);
        continue;
      }
      if (status != "Passed") test.member("status").fail("a test that did not pass", "\"Passed\" or \"Waived\"");
      if (!test.json().contains("bandwidth_matrix")) test.fail("has no \"bandwidth_matrix\"");
      const base::JsonNode matrix = test.member("bandwidth_matrix");
      Test read{which, {}, 0};
      for (std::size_t row = 0; row < matrix.size(); ++row)
        for (std::size_t column = 0; column < matrix.at(row).size(); ++column)
          if (const auto cell = matrix.at(row).at(column); !cell.is_string() || cell.string() != "N/A")
            read.cells.push_back(cell_value(cell));
      if (read.cells.empty()) {
        log.notes.push_back(which + ": no pair has a value");
        continue;
      }
      read.median = base::quantile(read.cells, 0.5);
      const double slowest = *std::min_element(read.cells.begin(), read.cells.end());
      if (which.find("latency") == std::string::npos && slowest < kSlowPair * read.median)
        log.warnings.push_back(which + ": the slowest pair reaches " + base::format_number(slowest) +
                               " GB/s, the median " + base::format_number(read.median));
      tests.push_back(std::move(read));
    }
    const Test peer = best_of(tests, {"device_to_device_memcpy_write", "device_to_device_memcpy_read"});
    const Test host = best_of(tests, {"host_to_device_memcpy", "device_to_host_memcpy"});
    const Test latency = best_of(tests, {"device_to_device_latency"});
    if (!peer.cells.empty()) log.readings.push_back(reading(Quantity::PeerRate, peer, 1e9));
    if (!host.cells.empty()) log.readings.push_back(reading(Quantity::HostRate, host, 1e9));
    if (!latency.cells.empty())
      log.readings.push_back(reading(Quantity::PeerLatency, latency, 0.5e-9, ", half of the way there and back"));
    for (const Test& test : tests) {
      if (test.name == peer.name || test.name == host.name || test.name == latency.name) continue;
      const bool time = test.name.find("latency") != std::string::npos;
      log.notes.push_back(test.name + ": median " + base::format_number(test.median, 4) + (time ? " ns" : " GB/s") +
                          (test.name.find("bidirectional") != std::string::npos ? ", both directions together" : "") +
                          ", not used");
    }
    if (log.readings.empty())
      throw base::InputError(
          name, "line " + std::to_string(line_of_pointer(text, cases.pointer())), "no test that can be used",
          "device_to_device_memcpy_*, host_to_device_memcpy_* or device_to_device_latency_sm, passed");
    return log;
  });
}

}  // namespace moesim::calibration
