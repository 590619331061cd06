// What the command line itself refuses, in one line, and what goes to standard output.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/file.h"
#include "cli/progress.h"
#include "tests/cli/run_moesim.h"
#include "tests/scratch_folder.h"

namespace moesim::cli {
namespace {

using tests::moesim;
using tests::Run;
using tests::ScratchFolder;

const std::string h100 = "examples/11-hgx-h100.json", ten_x = "examples/ten-x/deepseek-r1.json";

}  // namespace

TEST_CASE("a wrong command line is one line with the flag, its value and what would be right") {
  const struct {
    std::vector<std::string> arguments;
    std::vector<std::string> says;
  } cases[] = {
      {{}, {"moesim needs a verb", "compare"}},
      {{"bogus"}, {"no such verb \"bogus\"", "run"}},
      {{"comprae"}, {"no such verb \"comprae\"", "did you mean \"compare\""}},
      {{"topology"}, {"moesim topology needs a verb", "list"}},
      {{"topology", "shwo"}, {"no such verb \"shwo\" of moesim topology", "show"}},
      {{"run"}, {"moesim run", "SCENARIO is required"}},
      {{"run", h100, "--thread", "2"}, {"\"--thread\"", "did you mean \"--threads\""}},
      {{"run", h100, "--bogus"}, {"moesim run", "\"--bogus\" is not expected"}},
      {{"run", h100, "--seed", "-1"}, {"--seed", "\"-1\"", "a whole number from 0 to 9007199254740992"}},
      {{"run", h100, "--seed", "x"}, {"--seed", "\"x\"", "a whole number"}},
      {{"run", h100, "--tolerance", "-1"}, {"--tolerance", "\"-1\"", "a number from 0 to 0.1"}},
      {{"run", h100, "--tolerance", "5"}, {"--tolerance", "\"5\"", "a number from 0 to 0.1"}},
      {{"run", h100, "--threads", "2000"}, {"--threads", "\"2000\"", "0 to 1024"}},
      {{"trace", "stats", "t.npy", "--ep", "9,0"}, {"--ep", "\"0\"", "1 to 65535"}},
      {{"topology", "show", "hgx_h10"}, {"unknown cluster \"hgx_h10\"", "hgx_h100"}},
      {{"topology", "check", "bogus"}, {"unknown cluster \"bogus\"", "gb200_nvl72"}},
      {{"run", h100, "--tolerance", "9"}, {"from 0 to 0.1;"}},
      {{"compare", h100, "--vary", "step.layer=3,,4"}, {"--vary", "empty value"}},
      {{"compare", h100, "--vary", "step.layer=3,4,3"}, {"--vary", "the value 3 twice"}},
      {{"compare", "--curve", ten_x, "--users", "many"}, {"--users: \"many\"; expected"}},
      {{"waterfall", h100}, {"/schema", "not \"moesim.waterfall/1\"", "examples/ten-x/deepseek-r1.json"}},
      {{"calibrate", "check", h100, "--top", "0"}, {"--top", "\"0\"", "from 1 to"}},
      {{"run", h100, "--seed", "1", "--seed", "2"}, {"--seed: given more than once"}},
      {{"calibrate", "show", "h100", "--kernel", "nccl"}, {"--kernel", "unknown kernel \"nccl\"", "nccl_pcie"}},
      // Flags without effect.
      {{"compare", h100, "--csv", "x.csv"}, {"--csv", "--curve"}},
      {{"compare", h100, "--users", "10"}, {"--users", "--curve"}},
      {{"compare", h100, "--layers", "3"}, {"--layers", "--curve"}},
      {{"compare", h100, "--draws", "5"}, {"--draws", "--curve"}},
      {{"compare", h100, "--batches", "4"}, {"--batches", "--curve"}},
      {{"waterfall", ten_x, "--exact", "--circles", "2"}, {"--exact", "--circles"}},
      {{"waterfall", ten_x, "--hybrid", "NVLink", "--users", "9"}, {"--hybrid", "--users"}},
      {{"waterfall", ten_x, "--hybrid", "NVLink", "--json", "x.json"}, {"--hybrid", "--json"}},
      {{"topology", "show", "hgx_h100", "--dot", "--json"}, {"--dot", "--json"}},
      {{"topology", "show", "hgx_h100", "--sources", "--set", "nodes=2"}, {"--sources", "--set"}},
      {{"model", "show", "deepseek-v3", "--sources", "--json"}, {"--sources", "--json"}},
      {{"validate", "--all", "--tables", "x", "--json", "e.json"}, {"--all", "--json"}},
      // "-" where a file is meant.
      {{"compare", "--curve", h100, "--csv", "-"}, {"-: is no file", "/dev/stdout"}},
  };
  for (const auto& bad : cases) {
    const Run run = moesim(bad.arguments);
    CAPTURE(run.err);
    CHECK(run.code == 2);
    CHECK(run.out.empty());
    CHECK(run.err.starts_with("moesim: "));
    CHECK(std::count(run.err.begin(), run.err.end(), '\n') == 1);
    CHECK(run.err.size() < 300);
    for (const std::string& words : bad.says) {
      CAPTURE(words);
      CHECK(run.err.find(words) != std::string::npos);
    }
  }
}

TEST_CASE("--json - writes the file to standard output, and nothing else") {
  const ScratchFolder folder;
  const std::vector<std::string> compare = {"compare", h100, "--vary", "step.tokens_per_gpu=4,8", "--engine", "bound"};
  auto to_file = compare, to_output = compare;
  to_file.insert(to_file.end(), {"--json", folder.file("c.json")});
  to_output.insert(to_output.end(), {"--json", "-"});
  REQUIRE(moesim(to_file).code == 0);
  const Run run = moesim(to_output);
  CHECK(run.code == 0);
  CHECK(run.err.empty());
  CHECK(run.out == base::read_file(folder.file("c.json")));
  CHECK(nlohmann::json::parse(moesim({"run", h100, "--json", "-"}).out)["schema"] == "moesim.result/1");
}

TEST_CASE("trace stats places experts as a scenario does where ranks do not divide them") {
  const ScratchFolder folder;
  // Ten experts on 4 ranks: 12 slots, experts 0 and 1 in two each: ranks 0-2, 3-5, 6-8, {9, 0, 1}.
  const std::string counts = folder.write("c.json", R"({"logical_count": [[4, 4, 1, 1, 1, 1, 1, 1, 1, 9]]})");
  const Run run = moesim({"trace", "stats", counts, "--ep", "4"});
  CAPTURE(run.out);
  CHECK(run.code == 0);
  // Busiest: 9 + 4 / 2 + 4 / 2 = 13 of 24 on 4 ranks.
  CHECK(run.out.find("2.17") != std::string::npos);
  CHECK(run.out.find("fill the slots left over") != std::string::npos);
  const Run told = moesim({"trace", "stats", counts, "--experts", "10"});
  CHECK(told.code == 2);
  CHECK(told.out.empty());
  CHECK(told.err.find("--experts: has no effect") != std::string::npos);
}

TEST_CASE("progress is one line that is removed, on a terminal only") {
  CHECK(Progress::line("curves", "decode steps", 12, 65) == "curves: 12 decode steps, 1 min 5 s");
  CHECK(Progress::line("running a.json", "", 0, 9) == "running a.json: 9 s");
  const auto period = std::chrono::milliseconds(1);
  const auto received = [](int from) {
    std::string text(100, '\0');
    const auto size = read(from, text.data(), text.size());
    return text.substr(0, size > 0 ? static_cast<std::size_t>(size) : 0);
  };
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  REQUIRE(grantpt(terminal) == 0);
  REQUIRE(unlockpt(terminal) == 0);
  const int end = open(ptsname(terminal), O_RDWR | O_NOCTTY);
  REQUIRE(end >= 0);
  auto progress = std::make_unique<Progress>(end, "curves", "decode steps", period);
  progress->count();
  std::string text = received(terminal);  // waits for it
  progress.reset();
  REQUIRE(fcntl(terminal, F_SETFL, O_NONBLOCK) == 0);
  for (std::string more = text; !more.empty(); text += more) more = received(terminal);
  CHECK(text.starts_with("\r\x1b[Kcurves: "));
  CHECK(text.find(" decode steps, ") != std::string::npos);
  CHECK(text.ends_with("\r\x1b[K"));
  int pipe_ends[2];
  REQUIRE(pipe2(pipe_ends, O_NONBLOCK) == 0);
  progress = std::make_unique<Progress>(pipe_ends[1], "curves", "decode steps", period);
  usleep(5000);
  progress.reset();
  CHECK(received(pipe_ends[0]).empty());
  for (const int file : {terminal, end, pipe_ends[0], pipe_ends[1]}) close(file);
}

}  // namespace moesim::cli
