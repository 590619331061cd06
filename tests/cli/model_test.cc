// `moesim model show` over published configurations.
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "tests/cli/run_moesim.h"
#include "tests/reference_data.h"

namespace moesim::cli {
namespace {

using tests::Run;

Run show(const std::string& model) { return tests::moesim({"model", "show", model}); }

TEST_CASE("44 published configurations are shown; the 8 dense ones, and no others, say that they have no MoE layers") {
  const auto folder = tests::reference_data("hf_configs");
  if (!folder) return;
  int files = 0;
  int dense = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    const std::string path = entry.path().string();
    CAPTURE(path);
    const Run shown = show(path);
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
