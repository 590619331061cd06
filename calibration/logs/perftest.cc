// perftest's ib_write_bw and ib_write_lat:
//
//                       RDMA_Write BW Test
//    #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]   MsgRate[Mpps]
//    65536      5000             46760.21           46748.30             0.747973
//
//                       RDMA_Write Latency Test
//    #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]   99% ...
//    2       1000          1.92           6.31         1.95               1.96           0.06            2.14 ...
//
// Traps: perftest's "MB" is 2^20 bytes, its "Gb" (--report_gbits) 1e9 bits: bytes times messages per second say which
// it was, and have to agree. A bidirectional test counts both directions. Times in cycles (-C) tell nothing without the
// clock. ib_write_lat already halves the way there and back. The largest message gives the bandwidth (small ones are
// bound by the message rate), the smallest the latency; the typical time is the median.
#include <algorithm>
#include <cmath>

#include "calibration/logs/lines.h"
#include "calibration/logs/log.h"

namespace moesim::calibration {
namespace {

constexpr double kLeastError = 0.005;
constexpr double kMebi = 1048576;

struct Header {
  bool latency = false;
  double unit = 0;  // bytes/s of one in "BW average", s of one in "t_typical"
  std::size_t columns = 0;
};

Header read_header(const LogFile& file, const Line& line) {
  const auto has = [&](std::string_view what) { return line.text.find(what) != std::string_view::npos; };
  Header header;
  if (has("t_typical") || has("t_avg")) {
    header.latency = true;
    if (!has("t_typical[usec]")) file.fail(line.number, "times in another unit or no typical time", "t_typical[usec]");
    header.unit = 1e-6;
    return header;
  }
  if (has("BW average[MB/sec]"))
    header.unit = kMebi;
  else if (has("BW average[Gb/sec]"))
    header.unit = 1e9 / 8;
  else
    file.fail(line.number, "a bandwidth in an unknown unit", "BW average[MB/sec] or BW average[Gb/sec]");
  return header;
}

}  // namespace

std::optional<ImportedLog> import_perftest(std::string_view text, const std::string& name) {
  const LogFile file(name);
  const auto lines = lines_of(text);
  std::optional<Header> header;
  std::size_t bidirectional = 0;
  struct Row {
    std::size_t line;
    double bytes, value, error;
  };
  std::vector<Row> rows;
  for (const Line& line : lines) {
    if (line.text.starts_with("#bytes")) {
      header = read_header(file, line);
      continue;
    }
    if (line.text.ends_with("Test") || line.text.find(" Test") != std::string_view::npos) {
      if (line.text.find("Bidirectional") != std::string_view::npos) bidirectional = line.number;
      for (const char* other : {"Send", "Read", "Atomic"})
        if (line.text.starts_with(std::string(other)) || line.text.starts_with("RDMA_" + std::string(other)))
          file.fail(line.number, "the output of another test than a write: \"" + std::string(line.text) + "\"",
                    "ib_write_bw or ib_write_lat");
    }
    if (!header || line.text.empty() || line.text.front() < '0' || line.text.front() > '9') continue;
    const auto words = words_of(line.text);
    if (words.size() < (header->latency ? 5U : 4U))
      file.fail(line.number, std::to_string(words.size()) + " columns", header->latency ? "at least 5" : "4 or 5");
    const double bytes = file.number(line.number, words[0], "#bytes", 1);
    if (header->latency) {
      const double least = file.number(line.number, words[2], "t_min"),
                   typical = file.number(line.number, words[4], "t_typical");
      if (typical <= 0 || least > typical)
        file.fail(line.number, "t_typical " + std::string(words[4]) + " is below t_min " + std::string(words[2]));
      rows.push_back({line.number, bytes, typical * header->unit, std::max(kLeastError, 1 - least / typical)});
      continue;
    }
    const double average = file.number(line.number, words[3], "BW average");
    if (average <= 0) file.fail(line.number, "BW average is 0", "a bandwidth greater than 0");
    double rate = average * header->unit;
    if (words.size() > 4) {
      const double sent = bytes * file.number(line.number, words[4], "MsgRate") * 1e6;
      const double rounding = 0.01 + 1e-6 / std::max(1e-9, sent / bytes / 1e6);
      if (std::abs(sent / rate - 1) > rounding) {
        file.fail(line.number,
                  "BW average times its unit is " + base::to_string(base::Bandwidth(rate), 4) +
                      ", but #bytes times MsgRate is " + base::to_string(base::Bandwidth(sent), 4),
                  "perftest's MB (2^20 bytes), or Gb (1e9 bits) with --report_gbits");
      }
    }
    if (bidirectional > 0) rate /= 2;
    const double peak = file.number(line.number, words[2], "BW peak") * header->unit / (bidirectional > 0 ? 2 : 1);
    rows.push_back({line.number, bytes, rate, std::max(kLeastError, peak > rate ? peak / rate - 1 : 0)});
  }
  if (!header) return std::nullopt;
  if (rows.empty())
    throw base::InputError(name, "line " + std::to_string(lines.back().number), "no row of results after the header",
                           "the output to its end");
  ImportedLog log;
  const auto by_bytes = [](const Row& a, const Row& b) { return a.bytes < b.bytes; };
  if (header->latency) {
    log.format = "perftest, ib_write_lat";
    const Row& row = *std::min_element(rows.begin(), rows.end(), by_bytes);
    log.readings.push_back({Quantity::NetworkLatency, row.value, row.error,
                            "ib_write_lat, typical time of " + base::format_number(row.bytes, 9) + " bytes", 0});
  } else {
    log.format = "perftest, ib_write_bw";
    const Row& row = *std::max_element(rows.begin(), rows.end(), by_bytes);
    if (row.bytes < 32768)
      log.warnings.push_back("messages of " + base::format_number(row.bytes, 9) +
                             " bytes are bound by the message rate: the link may be faster");
    log.readings.push_back({Quantity::NetworkRate, row.value, row.error,
                            "ib_write_bw, average at " + base::format_number(row.bytes, 9) + " bytes", 0});
    if (bidirectional > 0) log.notes.push_back("bidirectional: half of what both directions reach together");
  }
  return log;
}

}  // namespace moesim::calibration
