// What a GPU costs: its datasheet and the fitted parameters of kernels (kernel_parameters.h). Every number says where
// it comes from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/units.h"
#include "calibration/profile/kernel_parameters.h"
#include "calibration/profile/source.h"

namespace moesim::profile {

template <class T>
struct Sourced {
  T value{};
  Source source = Source::Assumed;
  std::string reference;      // which datasheet, table or argument
  double relative_error = 0;  // half-width of an 80 % interval, as a fraction of the value
};

// What a link reaches, where it was measured: no kernel moves more. Beside the raw rates of the topology, and the
// shares that kernels were fitted with (of the two the smaller counts).
struct LinkCeiling {
  std::optional<Sourced<double>> share;            // of the raw rate, of data, one direction
  std::optional<Sourced<base::Duration>> latency;  // of a route over such links, beyond that of the topology
};
struct LinkCeilings {
  LinkCeiling nvlink, pcie, network;
};

struct Profile {
  std::string name;    // "h200"; a cluster names its GPU by it
  std::string gpu;     // full name
  std::string family;  // "hopper"
  // Everything takes no time but the links: to check closed forms.
  bool ideal = false;
  Sourced<double> sms;
  Sourced<base::Bandwidth> hbm_bandwidth;
  Sourced<base::Bytes> hbm_capacity;
  Sourced<base::Bytes> l2;         // capacity
  Sourced<base::Frequency> clock;  // of the SMs, at which the tensor rates below are reached
  Sourced<base::FlopRate> bf16;    // dense tensor throughput
  std::optional<Sourced<base::FlopRate>> fp8;
  std::optional<Sourced<base::FlopRate>> fp4;
  Sourced<base::Power> power;
  Sourced<base::Duration> launch;  // from the moment a kernel's inputs are ready to its first instruction
  LinkCeilings links;
  std::string text;  // that it was read from
  std::string hash;  // of the text
  // Calibrations that replace the shipped ones of their kernels (from a file that `calibrate fit -o` wrote).
  std::vector<std::shared_ptr<const KernelCalibration>> kernels;

  // The parameters of a kernel's cost model for this GPU, by the family rule. Throws InputError for a kernel that was
  // never calibrated.
  KernelParameters kernel(std::string_view kernel_name) const;
  // Its own or the shipped calibration; null if there is neither.
  std::shared_ptr<const KernelCalibration> calibration(std::string_view kernel_name) const;

  // "launch 2 us (assumed: ...)" for each number that the costs of a layer depend on and that is not from a
  // datasheet, a fit or a measurement.
  std::vector<std::string> assumptions() const;
};

// The scenario's "profile" section (null: absent), for a cluster of `gpu`: absent, {"preset": NAME}, {"file": PATH} or
// PATH alone (as `calibrate fit -o` writes it; seen from the scenario's folder). The
// profile of another GPU is an InputError; "ideal" fits every cluster. {"override": {"hbm_bandwidth": "8 TB/s"}} (or
// hbm_capacity, bf16, fp8, fp4) makes it hypothetical, with kernels as efficient as before; results say so. A GPU that
// has no profile takes another's as a start, {"preset": "b200", "override": {...}}, with all of these overridden that
// the other has; its kernels are those of the other's family.
Profile read_profile(const base::JsonNode* node, const std::string& gpu);

// Throws InputError for an unknown name.
Profile profile_preset(std::string_view name);
std::vector<std::string> profile_presets();
// A file that to_json() has written. Throws InputError.
Profile load_profile(const std::string& path);
// The text that it was read from, with its launch, links and own kernel calibrations as they are now.
base::Json to_json(const Profile& profile);

}  // namespace moesim::profile
