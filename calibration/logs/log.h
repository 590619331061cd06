// Logs of other tools as what this project fits: measured tables, and numbers read directly.
//
// A log is recognised by its content, never by its name. Each format is one file here; its unit traps are in its head.
// A log that is damaged, or in a unit that cannot be told, is one InputError with file and line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/table.h"

namespace moesim::calibration {

// A number that needs no kernel's model.
enum class Quantity : std::uint8_t {
  Launch,         // s, of a kernel inside a graph
  Hbm,            // bytes/s, read and written together
  PeerRate,       // bytes/s from one GPU to another, over NVLink where there is some, else PCIe
  PeerLatency,    // s, one way
  HostRate,       // bytes/s between a GPU and its host
  NetworkRate,    // bytes/s of one NIC, one direction
  NetworkLatency  // s, one way from memory to memory
};
std::string_view to_string(Quantity quantity);  // "launch", "hbm", "peer bandwidth", ...

struct Reading {
  Quantity quantity = Quantity::Launch;
  double value = 0;           // > 0, SI
  double relative_error = 0;  // half-width of an 80 % interval
  std::string from;           // "device_to_device_memcpy_write_sm, median of 56 pairs"
  double residual = 0;        // median of |fitted / measured - 1| where it was fitted
};

struct ImportedLog {
  std::string format;  // "nccl-tests, text"
  // Hand-written: a line that begins with "synthetic:" (after '#', '"' or blanks) says so. Nothing from it is measured.
  bool synthetic = false;
  std::string gpu;            // as the tool names it; "" if it does not
  std::vector<Table> tables;  // of the kinds of validation/table_kind.h
  std::vector<Reading> readings;
  std::vector<std::string> notes;     // what was left out, and why
  std::vector<std::string> warnings;  // throttling, noise, other processes
};

// What a log does not say of itself.
struct LogOptions {
  std::string op;     // of nccl-tests, where its text does not tell all_gather from alltoall
  std::string shape;  // of DeepEP: "ep=8,experts=256,topk=8,hidden=7168,tokens=128,nodes=1"; what the log says counts
};

// Throws InputError for a text in none of the formats, naming them.
ImportedLog import_log(std::string_view text, const std::string& file, const LogOptions& options = {});

// Whether the text is a table (CSV) rather than a log.
bool looks_like_table(std::string_view text);

// One format each: nothing if the text is not of it.
std::optional<ImportedLog> import_nccl_text(std::string_view text, const std::string& name, const LogOptions& options);
std::optional<ImportedLog> import_nccl_json(std::string_view text, const std::string& name, const LogOptions& options);
std::optional<ImportedLog> import_nvbandwidth(std::string_view text, const std::string& name);
std::optional<ImportedLog> import_perftest(std::string_view text, const std::string& name);
std::optional<ImportedLog> import_deepep(std::string_view text, const std::string& name, const LogOptions& options);
std::optional<ImportedLog> import_measurements(std::string_view text, const std::string& name);

}  // namespace moesim::calibration
