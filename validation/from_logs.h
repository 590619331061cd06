// A profile from what users have: tables, logs of other tools, documents of moesim-kernels.
#pragma once

#include <string>
#include <vector>

#include "calibration/logs/log.h"
#include "validation/calibrate.h"

namespace moesim::validation {

// A number that was read, and what became of it.
struct Finding {
  std::string name;     // "NVLink, share of its raw rate"
  std::string value;    // "0.87"
  double error = 0;     // half-width of the 80 % interval, relative
  double residual = 0;  // of its fit, 0 where none was fitted
  std::string shipped;  // what the profile said before, "-" for nothing
  std::string from;     // the log's words, with the raw numbers
};

struct FromLogs {
  std::string system;
  bool synthetic = false;    // some log is: nothing of it is tagged measured or fitted
  profile::Profile before;   // the profile that it started from
  profile::Profile profile;  // with what was fitted
  std::vector<KernelResult> kernels;
  std::vector<Finding> findings;
  std::vector<std::string> formats;  // "bench.log: nccl-tests, text"
  std::vector<std::string> notes, warnings;
};

struct FromLogsOptions {
  std::string system;   // "": as the logs name their GPU
  std::string profile;  // file to start from; "": the shipped one of the GPU
  calibration::LogOptions log;
};

// Throws InputError: a file that cannot be read as any format; a GPU that is not known or not that of the system; a
// rate above the raw one, which is another link's or another unit's; nothing that the models have parameters for.
FromLogs from_logs(const std::vector<std::string>& files, const FromLogsOptions& options);

}  // namespace moesim::validation
