#include "cli/vary.h"

#include <algorithm>

#include "base/error.h"
#include "sim/lowering/communication.h"

namespace moesim::cli {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts{""};
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && (i == 0 || text[i - 1] != '\\')) quoted = !quoted;
    if (!quoted) depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
    if (c == ',' && depth <= 0 && !quoted)
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
    const std::vector<std::string> values = split(axis.substr(equals + 1));
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i].empty()) throw base::InputError("--vary", "", "\"" + axis + "\" has an empty value", "none");
      if (std::find(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(i), values[i]) !=
          values.begin() + static_cast<std::ptrdiff_t>(i))
        throw base::InputError("--vary", "", "\"" + axis + "\" has the value " + values[i] + " twice", "each once");
    }
    std::vector<Variant> crossed;
    if (variants.empty()) variants.emplace_back();
    for (const Variant& variant : variants) {
      for (const std::string& value : values) {
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
