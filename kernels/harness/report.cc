#include "kernels/harness/report.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace moesim::kernels {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "moesim.measurements/1";

json to_json(const Measurement& m) {
  const Summary s = summarise(m.samples_us);
  json out = {{"benchmark", m.benchmark},
              {"implementation", m.implementation},
              {"parameters", m.parameters},
              {"unit", "us"},
              {"summary",
               {{"count", s.count},
                {"min", s.min},
                {"p10", s.p10},
                {"median", s.median},
                {"p90", s.p90},
                {"max", s.max},
                {"noise", s.noise}}},
              {"clock_mhz", {m.clock_before_mhz, m.clock_after_mhz}},
              {"throttled", throttled(m.clock_before_mhz, m.clock_after_mhz)},
              {"samples", m.samples_us}};
  if (m.bytes > 0) out["bytes"] = m.bytes;
  if (m.flops > 0) out["flops"] = m.flops;
  return out;
}

}  // namespace

bool Report::has(const std::string& benchmark, const std::string& implementation,
                 const std::map<std::string, double>& parameters) const {
  return std::any_of(measurements_.begin(), measurements_.end(), [&](const Measurement& m) {
    return m.benchmark == benchmark && m.implementation == implementation && m.parameters == parameters;
  });
}

void Report::load(const nlohmann::json& document) {
  if (document.value("schema", "") != kSchema) throw std::runtime_error(std::string("not a document of ") + kSchema);
  if (document.at("machine").value("uuid", "") != machine_.uuid) throw std::runtime_error("measured on another GPU");
  for (const nlohmann::json& m : document.at("measurements")) {
    Measurement measurement;
    measurement.benchmark = m.at("benchmark");
    measurement.implementation = m.at("implementation");
    measurement.parameters = m.at("parameters").get<std::map<std::string, double>>();
    measurement.bytes = m.value("bytes", 0.0);
    measurement.flops = m.value("flops", 0.0);
    measurement.samples_us = m.at("samples").get<std::vector<double>>();
    measurement.clock_before_mhz = m.at("clock_mhz").at(0);
    measurement.clock_after_mhz = m.at("clock_mhz").at(1);
    measurements_.push_back(std::move(measurement));
  }
}

json Report::json() const {
  nlohmann::json measurements = nlohmann::json::array(), skipped = nlohmann::json::array();
  for (const Measurement& m : measurements_) measurements.push_back(to_json(m));
  for (const Skipped& s : skipped_) skipped.push_back({{"benchmark", s.benchmark}, {"reason", s.reason}});
  return {{"schema", kSchema},
          {"machine",
           {{"gpu", machine_.gpu},
            {"uuid", machine_.uuid},
            {"compute_capability", machine_.compute_capability},
            {"gpus", machine_.gpus},
            {"sms", machine_.sms},
            {"memory_bytes", machine_.memory_bytes},
            {"l2_bytes", machine_.l2_bytes},
            {"driver", machine_.driver},
            {"runtime", machine_.runtime},
            {"date", machine_.date},
            {"command", machine_.command},
            {"notes", machine_.notes}}},
          {"measurements", measurements},
          {"skipped", skipped}};
}

void write_whole(const std::string& path, const std::string& text) {
  const std::string partial = path + ".partial";
  {
    std::ofstream file(partial, std::ios::binary);
    file << text;
    file.flush();
    if (!file) throw std::runtime_error(partial + " cannot be written");
  }
  if (std::rename(partial.c_str(), path.c_str()) != 0) throw std::runtime_error(path + " cannot be written");
}

}  // namespace moesim::kernels
