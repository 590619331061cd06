#define DOCTEST_CONFIG_IMPLEMENT
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <doctest/doctest.h>

#include "tests/reference_data.h"

namespace moesim::tests {
namespace {

int& skipped() {
  static int count = 0;
  return count;
}

}  // namespace

std::optional<std::string> reference_data(const std::string& relative) {
  const char* root = std::getenv("MOESIM_REFERENCE_DATA");
  std::string path = std::string(root != nullptr ? root : "../shared") + "/" + relative;
  if (std::filesystem::exists(path)) return path;
  ++skipped();
  std::cout << "skipped: needs reference data " << path << "\n";
  return std::nullopt;
}

}  // namespace moesim::tests

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int result = context.run();
  if (const int count = moesim::tests::skipped(); count > 0)
    std::cout << count << " skipped for lack of reference data (MOESIM_REFERENCE_DATA)\n";
  return result;
}
