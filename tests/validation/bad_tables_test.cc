// What every kind of table must do with bad tables, and with systems that it was never fitted to.
#include <array>
#include <cmath>
#include <string>

#include <doctest/doctest.h>

#include "sim/lowering/moe_kernels.h"
#include "validation/kinds.h"
#include "validation/score.h"

namespace moesim::validation {
namespace {

using calibration::Table;

struct Example {
  std::string kind;
  std::string columns;
  std::string row;
  std::size_t times = 1;  // that a row has to predict
};

// One good row of each kind.
const std::array<Example, 11> kExamples{{
    {"N1", "op,dtype,num_gpus,bytes,latency_us", "all_gather,half,2,1048576,30"},
    {"N2", "nodes,ep,hidden,topk,experts,tokens_per_rank,dispatch_us,combine_us", "2,16,7168,8,256,8,30,40", 2},
    {"N3", "nodes,ep,hidden,topk,experts,tokens_per_rank,dispatch_us,combine_us", "1,4,7168,8,256,8,16,12", 2},
    {"N4",
     "nodes,ep,hidden,topk,experts,tokens_per_rank,dispatch_sms,dispatch_transmit_us,dispatch_notify_us,combine_sms,"
     "combine_transmit_us,combine_notify_us",
     "1,8,2048,8,128,1,4,31,0,4,36,0", 2},
    {"N5", "kernel,phase,dtype,ep,tokens_per_rank,hidden,topk,experts,latency_us",
     "NVLinkTwoSided,combine,nvfp4,2,1,7168,8,256,16"},
    {"N6", "phase,dtype,hidden,inter,topk,experts,ep,dist,tokens_per_rank,tokens_global,latency_us",
     "generation,fp8_fp4,7168,3072,6,384,4,balanced,1,4,122"},
    {"C1", "dtype,m,n,k,latency_us", "bfloat16,64,4096,4096,20"},
    {"C2", "kernel,dtype,hidden,inter,topk,experts,tp,ep,dist,tokens_global,latency_us",
     "deepgemm,fp8_block,4096,14336,2,8,1,1,balanced,1,108"},
    {"C3", "phase,dtype,hidden,inter,topk,experts,ep,dist,tokens_global,latency_us",
     "context,fp8_block,7168,2048,8,256,2,uniform,32,323"},
    {"C4", "dtype,kv_dtype,heads,batch,isl,tp,step,latency_us", "bfloat16,fp8,16,4,1,8,4095,20"},
    {"M1", "moe_kernel,tokens,hidden,experts,topk,latency_us", "permute,128,7168,256,8,15"},
}};

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells(1);
  for (const char c : line) {
    if (c == ',')
      cells.emplace_back();
    else
      cells.back() += c;
  }
  return cells;
}

std::string join(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) line += (line.empty() ? "" : ",") + cell;
  return line + "\n";
}

Score score(const std::string& text, const System& system) {
  const Table table = Table::parse(text, "t.csv");
  return validate(table, recognise(table), system,
                  [&](std::string_view kernel) { return lowering::moe_parameters(kernel, system.profile()); });
}

}  // namespace

TEST_CASE("every kind that is modelled has an example here") {
  std::size_t modelled = 0;
  for (const TableKind& kind : table_kinds()) modelled += kind.kernels.empty() ? 0 : 1;
  CHECK(modelled == kExamples.size());
  for (const Example& example : kExamples) {
    CAPTURE(example.kind);
    CHECK(recognise(Table::parse(example.columns + "\n" + example.row + "\n", "t.csv")).name == example.kind);
  }
}

TEST_CASE("a missing column, another unit and a time that is none are refused in tables of every kind") {
  const System system("h100_sxm");
  for (const Example& example : kExamples) {
    CAPTURE(example.kind);
    const std::vector<std::string> columns = split(example.columns), row = split(example.row);
    REQUIRE(columns.size() == row.size());
    CHECK_THROWS_AS(score(example.columns + "\n", system), base::InputError);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (!columns[c].ends_with("_us")) continue;
      CAPTURE(columns[c]);
      std::vector<std::string> fewer = columns, cells = row, other_unit = columns;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(c));
      cells.erase(cells.begin() + static_cast<std::ptrdiff_t>(c));
      CHECK_THROWS_AS(score(join(fewer) + join(cells), system), base::InputError);
      other_unit[c].replace(other_unit[c].size() - 3, 3, "_ms");
      CHECK_THROWS_WITH_AS(score(join(other_unit) + example.row + "\n", system),
                           doctest::Contains(("\"" + columns[c] + "\"").c_str()), base::InputError);
      for (const char* bad : {"-4", "nan", "inf", "", "fast"}) {
        CAPTURE(bad);
        cells = row;
        cells[c] = bad;
        CHECK_THROWS_WITH_AS(score(join(columns) + example.row + "\n" + join(cells), system),
                             doctest::Contains("line 3"), base::InputError);
      }
    }
  }
}

TEST_CASE("every system predicts or skips every time of a table, whether or not it was ever measured") {
  for (const std::string& name : system_names()) {
    CAPTURE(name);
    const System system(name);
    for (const Example& example : kExamples) {
      CAPTURE(example.kind);
      const Score result = score(example.columns + "\n" + example.row + "\n", system);
      CHECK(result.kind == example.kind);
      if (result.skipped.empty())
        CHECK(result.samples.size() == example.times);
      else
        CHECK(result.samples.empty());
      for (const ScoredSample& sample : result.samples) {
        CHECK(std::isfinite(sample.predicted_us));
        CHECK(sample.predicted_us > 0);
        CHECK(sample.low_us < sample.predicted_us);
        CHECK(sample.high_us > sample.predicted_us);
      }
    }
  }
}

TEST_CASE("rows with two times have a column for the dispatch and one for the combine") {
  for (const Example& example : kExamples) {
    CAPTURE(example.kind);
    const Table table = Table::parse(example.columns + "\n" + example.row + "\n", "t.csv");
    const std::string rows = rows_csv(table, score(example.columns + "\n" + example.row + "\n", System("h200_sxm")));
    const std::string header = rows.substr(0, rows.find('\n'));
    CHECK(header ==
          example.columns + (example.times == 2 ? ",dispatch_predicted_us,combine_predicted_us" : ",predicted_us"));
  }
}

}  // namespace moesim::validation
