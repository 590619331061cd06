#include "cli/vary.h"

#include <algorithm>

#include "base/error.h"
#include "sim/lowering/communication.h"

namespace moesim::cli {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == ',')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::vector<Variant> variants_of(const std::string& kernels, const std::vector<std::string>& vary) {
  std::vector<Variant> variants;
  if (!kernels.empty()) {
    std::vector<std::string> names = split(kernels);
    if (kernels == "all") {
      names = lowering::communication_kernels();
      std::erase(names, "ideal");
    }
    for (const std::string& name : names)
      variants.push_back({name, {"communication.kernel=" + name}, kernels == "all"});
  }
  for (const std::string& axis : vary) {
    const std::size_t equals = axis.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == axis.size())
      throw base::InputError("--vary", "", "\"" + axis + "\" names no values", "path=value,value,...");
    const std::string path = axis.substr(0, equals), key = path.substr(path.rfind('.') + 1);
    std::vector<Variant> crossed;
    if (variants.empty()) variants.emplace_back();
    for (const Variant& variant : variants) {
      for (const std::string& value : split(axis.substr(equals + 1))) {
        Variant next = variant;
        next.name += (next.name.empty() ? "" : ", ") + key + " " + value;
        next.sets.push_back(path + "=" + value);
        crossed.push_back(std::move(next));
      }
    }
    variants = std::move(crossed);
  }
  return variants;
}

}  // namespace moesim::cli
