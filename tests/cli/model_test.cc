// `moesim model show` over published configurations.
#include <filesystem>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "cli/program.h"
#include "tests/reference_data.h"

namespace moesim::cli {
namespace {

struct Shown {
  int code = 0;
  std::string out;
};

Shown show(const std::string& model) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = run_program({"model", "show", model}, out, err);
  return {code, out.str()};
}

TEST_CASE("44 published configurations are shown; the 8 dense ones, and no others, say that they have no MoE layers") {
  const auto folder = tests::reference_data("hf_configs");
  if (!folder) return;
  int files = 0;
  int dense = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    const std::string path = entry.path().string();
    CAPTURE(path);
    const Shown shown = show(path);
    CHECK(shown.code == 0);
    ++files;
    const bool says_dense = shown.out.find("no MoE layers") != std::string::npos;
    dense += says_dense ? 1 : 0;
    CHECK((shown.out.find("dispatch width") != std::string::npos) != says_dense);
  }
  CHECK(files == 44);
  CHECK(dense == 8);
}

TEST_CASE("a model that is nowhere is refused") {
  CHECK(show("deepseek-v33").code == 2);
  CHECK(show("/nowhere/config.json").code == 2);
}

}  // namespace
}  // namespace moesim::cli
