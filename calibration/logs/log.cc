#include "calibration/logs/log.h"

#include <algorithm>

#include "calibration/logs/lines.h"

namespace moesim::calibration {

std::string_view to_string(Quantity quantity) {
  switch (quantity) {
    case Quantity::Launch:
      return "launch";
    case Quantity::Hbm:
      return "HBM bandwidth";
    case Quantity::PeerRate:
      return "GPU-GPU bandwidth";
    case Quantity::PeerLatency:
      return "GPU-GPU latency";
    case Quantity::HostRate:
      return "host-GPU bandwidth";
    case Quantity::NetworkRate:
      return "NIC bandwidth";
    case Quantity::NetworkLatency:
      return "network latency";
  }
  return "launch";
}

bool looks_like_table(std::string_view text) {
  for (const Line& line : lines_of(text)) {
    if (line.text.empty()) continue;
    // A header is words between commas; prose has several between two, JSON and comments begin otherwise.
    if (line.text.find_first_of("{[#") != std::string_view::npos) return false;
    std::size_t cells = 0;
    for (std::size_t begin = 0; begin <= line.text.size(); ++cells) {
      const std::size_t end = std::min(line.text.find(',', begin), line.text.size());
      if (words_of(line.text.substr(begin, end - begin)).size() > 1) return false;
      begin = end + 1;
    }
    return cells > 1;
  }
  return true;  // Table says what is wrong with an empty file
}

ImportedLog import_log(std::string_view text, const std::string& file, const LogOptions& options) {
  std::optional<ImportedLog> log;
  if (!log) log = import_measurements(text, file);
  if (!log) log = import_nvbandwidth(text, file);
  if (!log) log = import_nccl_json(text, file, options);
  if (!log) log = import_perftest(text, file);
  if (!log) log = import_deepep(text, file, options);
  if (!log) log = import_nccl_text(text, file, options);
  if (!log) {
    throw base::InputError(file, "line 1", "in no format that can be read",
                           "a table (CSV), a document of moesim-kernels, or the output of nccl-tests (text or -J), "
                           "nvbandwidth --json, ib_write_bw, ib_write_lat or DeepEP's tests");
  }
  log->synthetic = is_synthetic(text);
  return *std::move(log);
}

}  // namespace moesim::calibration
