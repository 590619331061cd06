#include "validation/from_logs.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <set>

#include "base/file.h"
#include "calibration/kernel_fit.h"

namespace moesim::validation {
namespace {

using calibration::ImportedLog;
using calibration::Quantity;
using calibration::Reading;
using profile::Source;
using topology::LinkKind;

constexpr double kAboveRaw = 1.02;  // what rounding may do

struct Log {
  std::string file;
  ImportedLog log;
};

Log read_log(const std::string& file, const calibration::LogOptions& options) {
  const std::string text = base::read_file(file);
  Log read{file, {}};
  if (calibration::looks_like_table(text)) {
    read.log.format = "table";
    read.log.tables.push_back(calibration::Table::parse(text, file));
  } else {
    read.log = calibration::import_log(text, file, options);
  }
  return read;
}

std::string choose_system(const std::vector<Log>& logs, const std::string& given) {
  std::string chosen = given;
  for (const Log& log : logs) {
    if (log.log.gpu.empty()) continue;
    const std::string named = system_of_gpu(log.log.gpu);
    if (chosen.empty() && named.empty()) {
      throw base::InputError(log.file, "", "measured on \"" + log.log.gpu + "\", a GPU without a profile",
                             "--system with the nearest one, e.g. h100_sxm");
    }
    if (chosen.empty()) chosen = named;
    if (named.empty() || System(named).profile().name == System(chosen).profile().name) continue;
    throw base::InputError(log.file, "", "measured on \"" + log.log.gpu + "\"", "a log of " + chosen);
  }
  if (chosen.empty()) throw base::InputError("--system", "", "is missing", "a system, e.g. h100_sxm");
  return chosen;
}

// Rates and latencies of a system's raw links.
class RawLinks {
 public:
  explicit RawLinks(const System& system) : node_(system.cluster(2)) {
    const auto gpus = static_cast<std::int32_t>(node_->cluster.gpus.size());
    try {
      const auto two = system.cluster(gpus + 1);
      for (const topology::Hop& hop : two->router->route(0, gpus).hops) {
        const topology::Link& link = two->router->graph().link(hop.port.link);
        if (link.kind != LinkKind::Network) continue;
        if (network_rate_ == 0) network_rate_ = link.bandwidth.value();
        network_latency_ += link.latency.value();
      }
    } catch (const base::InputError&) {  // a rack has no second one without a network between
      network_rate_ = 0;
    }
  }
  double of_gpu(LinkKind kind) const {
    double rate = 0;
    const topology::Graph& graph = node_->cluster.graph;
    for (const topology::LinkId id : graph.links_of(node_->cluster.gpus.front()))
      if (graph.link(id).kind == kind) rate += graph.link(id).bandwidth.value();
    return rate;
  }
  double peer_latency() const { return node_->router->route(0, 1).latency.value(); }
  double network_rate() const { return network_rate_; }
  double network_latency() const { return network_latency_; }

 private:
  std::shared_ptr<const ClusterView> node_;
  double network_rate_ = 0, network_latency_ = 0;
};

class Applier {
 public:
  Applier(const System& system, FromLogs& out) : system_(system), raw_(system), out_(out) {}

  void apply(const Log& log, const Reading& reading) {
    file_ = std::filesystem::path(log.file).filename().string();
    synthetic_ = log.log.synthetic;
    reading_ = &reading;
    profile::LinkCeilings& links = out_.profile.links;
    const bool nvlink = raw_.of_gpu(LinkKind::NvLink) > 0;
    switch (reading.quantity) {
      case Quantity::Launch: {
        const auto before = out_.profile.launch;
        out_.profile.launch = sourced(base::Duration(reading.value), "");
        found("kernel launch", base::to_string(base::Duration(reading.value)),
              base::to_string(before.value) + " (" + std::string(to_string(before.source)) + ")", "");
        break;
      }
      case Quantity::Hbm: {
        const double sheet = system_.profile().hbm_bandwidth.value.value();
        check_below(sheet, "HBM's datasheet rate");
        found("HBM, share of the datasheet (no parameter: kernels have their own)",
              base::format_number(reading.value / sheet), "-", rate_of(sheet));
        break;
      }
      case Quantity::PeerRate:
        set_share(nvlink ? links.nvlink : links.pcie, nvlink ? "NVLink" : "PCIe (GPU to GPU)",
                  raw_.of_gpu(nvlink ? LinkKind::NvLink : LinkKind::Pcie));
        break;
      case Quantity::HostRate:
        set_share(links.pcie, "PCIe (host)", raw_.of_gpu(LinkKind::Pcie));
        break;
      case Quantity::NetworkRate:
        set_share(links.network, "NIC", raw_.network_rate());
        break;
      case Quantity::PeerLatency:
        if (nvlink)
          compare_latency("NVLink latency", raw_.peer_latency());
        else
          out_.notes.push_back(file_ + ": GPU-GPU latency over PCIe is not a parameter");
        break;
      case Quantity::NetworkLatency:
        if (raw_.network_rate() > 0)
          compare_latency("network latency", raw_.network_latency());
        else
          out_.notes.push_back(file_ + ": " + system_.name() + " has no network to compare with: not used");
        break;
    }
  }

 private:
  template <class T>
  profile::Sourced<T> sourced(T value, const std::string& more) const {
    return {value, synthetic_ ? Source::Assumed : Source::Measured,
            (synthetic_ ? "synthetic log, not measured: " : "") + file_ + ": " + reading_->from + more,
            std::min(reading_->relative_error, 9.0)};
  }
  std::string rate_of(double raw) const {
    return ", " + base::to_string(base::Bandwidth(reading_->value)) + " of " + base::to_string(base::Bandwidth(raw));
  }
  void found(const std::string& name, const std::string& value, const std::string& shipped, const std::string& more) {
    out_.findings.push_back(
        {name, value, reading_->relative_error, reading_->residual, shipped, file_ + ": " + reading_->from + more});
  }
  void check_below(double raw, const std::string& what) const {
    if (reading_->value <= raw * kAboveRaw) return;
    throw base::InputError(file_, "",
                           std::string(to_string(reading_->quantity)) + " of " +
                               base::to_string(base::Bandwidth(reading_->value)) + " (" + reading_->from +
                               ") is above " + what + " of " + system_.name() + ", " +
                               base::to_string(base::Bandwidth(raw)),
                           "a log of such a link, --system of another, or decimal units");
  }
  void set_share(profile::LinkCeiling& link, const std::string& name, double raw) {
    if (raw == 0) {
      out_.notes.push_back(file_ + ": " + std::string(to_string(reading_->quantity)) + " not used, " + system_.name() +
                           " has no such link");
      return;
    }
    check_below(raw, "the raw rate");
    const double share = std::min(1.0, reading_->value / raw);
    const std::string before = link.share ? base::format_number(link.share->value) : "-";
    // Two directions or two tools: the link reaches the better one.
    if (!link.share || touched_.count(&link) == 0 || share > link.share->value) {
      link.share = sourced(share, rate_of(raw));
      link.share->value = std::stod(base::format_number(share, 5));
    }
    touched_.insert(&link);
    found(name + ", share of its raw rate", base::format_number(share), before, rate_of(raw));
  }
  // No parameter: the start-ups of kernels were fitted on whole kernels, so they hold what is beyond the links already.
  void compare_latency(const std::string& name, double of_links) {
    found(name + " (no parameter: the start-ups of kernels hold it)", base::to_string(base::Duration(reading_->value)),
          base::to_string(base::Duration(of_links)) + " of links", "");
  }

  const System& system_;
  RawLinks raw_;
  FromLogs& out_;
  std::string file_;
  bool synthetic_ = false;
  const Reading* reading_ = nullptr;
  std::set<const profile::LinkCeiling*> touched_;
};

// Nothing of a synthetic log may say that it was fitted to measurements.
void mark_synthetic(profile::KernelCalibration& calibration) {
  const auto mark = [](profile::NamedParameters& parameters) {
    for (auto& [name, parameter] : parameters) {
      if (parameter.reference.starts_with(calibration::kAsShipped)) continue;
      parameter.source = Source::Assumed;
      parameter.reference = "synthetic log, not measured: " + parameter.reference;
    }
  };
  mark(calibration.shared);
  for (auto& [name, parameters] : calibration.families) mark(parameters);
  for (auto& [name, parameters] : calibration.systems) mark(parameters);
  calibration.attribution = "synthetic logs: nothing of this was measured";
}

// Rows that the model does not follow even after the fit.
void warn_of_misfit(const KernelResult& result, FromLogs& out) {
  const std::string kernel(result.model.name);
  if (out.before.calibration(kernel) == nullptr) return;
  const double interval = std::expm1(out.before.kernel(kernel).log_error());
  for (const profile::FittedTable& table : result.fit.calibration.tables) {
    if (table.median <= interval) continue;
    out.warnings.push_back(kernel + ": half the rows of " + table.file + " stay " +
                           base::format_number(100 * table.median, 2) + " % off the fit, beyond the 80 % interval of " +
                           base::format_number(100 * interval, 2) +
                           " % that the kernel had: another version or setting of it, or a disturbed log");
  }
}

void put_kernel(profile::Profile& profile, const profile::KernelCalibration& calibration) {
  const auto fresh = std::make_shared<const profile::KernelCalibration>(calibration);
  for (auto& own : profile.kernels) {
    if (own->kernel != calibration.kernel) continue;
    own = fresh;
    return;
  }
  profile.kernels.push_back(fresh);
}

}  // namespace

FromLogs from_logs(const std::vector<std::string>& files, const FromLogsOptions& options) {
  std::vector<Log> logs;
  for (const std::string& file : files) logs.push_back(read_log(file, options.log));
  FromLogs out;
  out.system = choose_system(logs, options.system);
  const System system(out.system);
  out.before = options.profile.empty() ? system.profile() : profile::load_profile(options.profile);
  if (out.before.name != system.profile().name) {
    throw base::InputError(options.profile, "/name", "the profile of \"" + out.before.name + "\"",
                           "one of \"" + system.profile().name + "\", the GPU of " + out.system);
  }
  out.profile = out.before;

  std::vector<MeasuredTable> tables;
  Applier applier(system, out);
  std::string attribution = "fitted to";
  for (const Log& log : logs) {
    const std::string name = std::filesystem::path(log.file).filename().string();
    out.formats.push_back(name + ": " + log.log.format);
    attribution += " " + name;
    out.synthetic = out.synthetic || log.log.synthetic;
    for (const std::string& note : log.log.notes) out.notes.push_back(name + ": " + note);
    for (const std::string& warning : log.log.warnings) out.warnings.push_back(name + ": " + warning);
    for (const Reading& reading : log.log.readings) applier.apply(log, reading);
    for (const calibration::Table& table : log.log.tables) {
      tables.push_back(measured_table(table, out.system));
      const TableKind& kind = tables.back().kind;
      if (kind.kernels.empty())
        throw base::InputError(
            log.file, "",
            "tables of the kind " + std::string(kind.name) + " (" + std::string(kind.title) + ") are not modelled yet");
      for (const Skipped& skipped : tables.back().samples.skipped)
        if (std::find(out.notes.begin(), out.notes.end(), name + ": skipped, " + skipped.reason) == out.notes.end())
          out.notes.push_back(name + ": skipped, " + skipped.reason);
    }
  }
  out.kernels = fit_all(tables, true, &out.before);
  for (KernelResult& result : out.kernels) {
    warn_of_misfit(result, out);
    result.fit.calibration.attribution = attribution + ", on top of what was known before";
    if (out.synthetic) mark_synthetic(result.fit.calibration);
    put_kernel(out.profile, result.fit.calibration);
  }
  if (out.kernels.empty() && out.findings.empty())
    throw base::InputError(files.front(), "", "no row of it can be predicted on " + out.system);
  return out;
}

}  // namespace moesim::validation
