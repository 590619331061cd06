#include "sim/lowering/communication.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "sim/lowering/ideal.h"

namespace moesim::lowering {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<CommunicationKernel> (*make)();
};

constexpr std::array kKernels{
    Entry{"ideal", make_ideal},
};

}  // namespace

std::vector<std::string> communication_kernels() {
  std::vector<std::string> names;
  for (const Entry& entry : kKernels) names.emplace_back(entry.name);
  return names;
}

std::unique_ptr<CommunicationKernel> make_communication_kernel(std::string_view name) {
  const auto found = std::find_if(kKernels.begin(), kKernels.end(), [&](const Entry& e) { return e.name == name; });
  if (found == kKernels.end())
    throw base::InputError(
        "", "",
        "unknown communication kernel \"" + std::string(name) + "\"" + base::suggestion(name, communication_kernels()));
  return found->make();
}

}  // namespace moesim::lowering
