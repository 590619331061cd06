// Logs of other tools: what is read, in which unit, and what is refused. Their numbers follow from the formulas here.
#include <algorithm>

#include <doctest/doctest.h>

#include "base/file.h"
#include "calibration/logs/lines.h"
#include "calibration/logs/log.h"

namespace moesim::calibration {
namespace {

std::string text_of(const std::string& name) { return base::read_file("tests/calibration/logs/" + name); }

ImportedLog import(const std::string& name, const LogOptions& options = {}) {
  return import_log(text_of(name), name, options);
}

const Reading& only(const ImportedLog& log, Quantity quantity) {
  const Reading* found = nullptr;
  for (const Reading& reading : log.readings)
    if (reading.quantity == quantity) found = &reading;
  REQUIRE(found != nullptr);
  return *found;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::size_t line_holding(const std::string& text, const std::string& what) {
  for (const Line& line : lines_of(text))
    if (line.text.find(what) != std::string_view::npos) return line.number;
  return 0;
}

// The one line of the error of a damaged text.
std::string error_of(const std::string& text, const LogOptions& options = {}) {
  try {
    import_log(text, "damaged", options);
  } catch (const base::InputError& error) {
    std::string what = error.what();
    CHECK(what.find('\n') == std::string::npos);
    return what;
  }
  return "nothing was wrong";
}

void check_says(const std::string& text, const std::vector<std::string>& words, const LogOptions& options = {}) {
  const std::string what = error_of(text, options);
  CAPTURE(what);
  for (const std::string& word : words) {
    CAPTURE(word);
    CHECK(what.find(word) != std::string::npos);
  }
}

// The time of the made-up all-to-all, in us: decimal bandwidth, sizes as printed.
double alltoall_us(double bytes) { return 12 + bytes * 7 / 8 / 300e3; }

const LogOptions kShape{"", "ep=8,experts=256,topk=8,hidden=7168,tokens=128,nodes=1"};

}  // namespace

TEST_CASE("nccl-tests: text and JSON give the same table, with the times as printed") {
  for (const char* name : {"nccl_alltoall.txt", "nccl_alltoall.json"}) {
    CAPTURE(name);
    const ImportedLog log = import(name);
    CHECK(log.synthetic);
    CHECK(log.gpu == "NVIDIA H100 80GB HBM3");
    REQUIRE(log.tables.size() == 1);
    const Table& table = log.tables[0];
    CHECK(table.rows() == 8);
    for (std::size_t row = 0; row < table.rows(); ++row) {
      CHECK(table.text(row, "op") == "all_to_all");
      CHECK(table.integer(row, "num_gpus") == 8);
      CHECK(table.number(row, "bytes") == 65536.0 * (1 << (2 * row)));
      CHECK(table.time_us(row, "latency_us") == doctest::Approx(alltoall_us(table.number(row, "bytes"))).epsilon(1e-3));
    }
  }
}

TEST_CASE("nccl-tests: an old log that does not name its collective is told by its columns, or has to be named") {
  CHECK(import("nccl_all_reduce_unnamed.txt").tables[0].text(0, "op") == "all_reduce");
  const std::string unnamed = replaced(text_of("nccl_alltoall.txt"), "# Collective test starting: alltoall_perf\n", "");
  check_says(unnamed, {"line 17", "does not name its collective", "--op"});
  CHECK(import_log(unnamed, "x", {"alltoall", ""}).tables[0].text(0, "op") == "all_to_all");
  check_says(text_of("nccl_all_reduce_unnamed.txt"), {"busbw / algbw is 1.75", "all_gather"}, {"all_gather", ""});
}

TEST_CASE("nccl-tests: damage and other units are one error with the line") {
  const std::string text = text_of("nccl_alltoall.txt");
  const std::string at = "line " + std::to_string(line_holding(text, "65536  "));
  check_says(replaced(text, "65536  ", "65x36  "), {at, "size", "65x36"});
  check_says(replaced(text, "      0", "      3"), {at, "wrong"});
  check_says(text.substr(0, text.find("    N/A")), {"12 columns"});
  check_says(replaced(text, "(GB/s)  (GB/s)            (us)", "(Gb/s)  (Gb/s)            (us)"), {"line 17"});
  // Time in ms.
  const std::size_t row = text.find("12.19");
  REQUIRE(row != std::string::npos);
  check_says(replaced(text, "12.19", "0.0122"), {at, "algbw", "is not size / time"});
  // GiB/s: 12 us + 1 GiB * 7/8 / 300 GB/s = 3143 us is 341.55 GB/s, 318.09 GiB/s.
  check_says(replaced(text, "341.55", "318.09"), {"GiB/s"});
  check_says(replaced(text, "# Collective test starting: alltoall_perf", "# sendrecv_perf"),
             {"sendrecv", "not modelled"});
  std::string no_devices = text;
  for (std::size_t i; (i = no_devices.find("#  Rank")) != std::string::npos;) no_devices.erase(i, 7);
  check_says(no_devices, {"Rank", "line 1"});
}

TEST_CASE("nccl-tests: damaged JSON names the line") {
  const std::string text = text_of("nccl_alltoall.json");
  check_says(text.substr(0, text.size() / 2), {"line"});
  const std::string wrong = replaced(text, "\"time\": 12.19", "\"time\": \"fast\"");
  check_says(wrong, {"line " + std::to_string(line_holding(wrong, "fast")), "/results/0/out_of_place/time"});
}

TEST_CASE("nvbandwidth: cells are texts, bandwidths decimal, latencies of a way there and back in nanoseconds") {
  const ImportedLog log = import("nvbandwidth.json");
  CHECK(only(log, Quantity::PeerRate).value == doctest::Approx(391.2e9).epsilon(1e-3));
  CHECK(only(log, Quantity::PeerRate).from.find("write_sm, median of 12") != std::string::npos);
  CHECK(only(log, Quantity::HostRate).value == doctest::Approx(55.2e9).epsilon(1e-3));
  CHECK(only(log, Quantity::PeerLatency).value == doctest::Approx(2600e-9 / 2).epsilon(1e-3));
  const auto noted = [&](const char* what) {
    return std::any_of(log.notes.begin(), log.notes.end(),
                       [&](const std::string& note) { return note.find(what) != std::string::npos; });
  };
  CHECK(noted("both directions together"));
  CHECK(noted("Waived"));
  CHECK(noted("device_local_copy"));
}

TEST_CASE("nvbandwidth: damage names the line") {
  const std::string text = text_of("nvbandwidth.json");
  const std::string number = replaced(text, "\"391.10\"", "391.10");
  check_says(number, {"line " + std::to_string(line_holding(number, "391.10,")), "bandwidth_matrix/0/1"});
  const std::string word = replaced(text, "\"391.10\"", "\"fast\"");
  check_says(word, {"line " + std::to_string(line_holding(word, "fast")), "fast"});
  const std::string failed = replaced(text, "\"status\": \"Passed\"", "\"status\": \"Error\"");
  check_says(failed, {"line " + std::to_string(line_holding(failed, "Error")), "did not pass"});
  check_says(text.substr(0, 900), {"line"});
  const ImportedLog slow = import_log(replaced(text, "\"391.10\"", "\"191.10\""), "x");
  REQUIRE(slow.warnings.size() == 1);
  CHECK(slow.warnings[0].find("slowest pair reaches 191") != std::string::npos);
}

TEST_CASE("perftest: MB is 2^20 bytes, Gb 1e9 bits, and both directions are halved") {
  for (const char* name : {"ib_write_bw.txt", "ib_write_bw_gbits.txt", "ib_write_bw_both.txt"}) {
    CAPTURE(name);
    CHECK(only(import(name), Quantity::NetworkRate).value == doctest::Approx(48.9e9).epsilon(1e-4));
  }
  CHECK(only(import("ib_write_lat.txt"), Quantity::NetworkLatency).value == doctest::Approx(4.0e-6));
}

TEST_CASE("perftest: a bandwidth that does not fit the message rate, cycles, other tests and damage are refused") {
  const std::string text = text_of("ib_write_bw.txt");
  // The same numbers as if they were 1e6 bytes: 4.9 % off.
  const std::string decimal = replaced(text, "46634.67", "48900.00");
  check_says(decimal, {"line " + std::to_string(line_holding(decimal, "48900.00")), "MsgRate", "2^20"});
  check_says(replaced(text, "BW average[MB/sec]", "BW average[MiB/sec]"), {"unknown unit"});
  check_says(replaced(text, "RDMA_Write BW Test", "Send BW Test"), {"Send BW Test", "ib_write_bw"});
  const std::string torn = replaced(text, "46634.67", "4663x.67");
  check_says(torn, {"line " + std::to_string(line_holding(torn, "4663x")), "4663x.67"});
  check_says(text.substr(0, text.find(" 4096  ")), {"no row of results"});
  check_says(replaced(text_of("ib_write_lat.txt"), "t_typical[usec]", "t_typical[cycles]"), {"line", "usec"});
}

TEST_CASE("DeepEP: low latency is one row of the ranks' mean times, and the bandwidths have to fit the shape") {
  const ImportedLog log = import("deepep_low_latency.txt", kShape);
  REQUIRE(log.tables.size() == 1);
  const Table& table = log.tables[0];
  CHECK(table.integer(0, "ep") == 8);
  CHECK(table.time_us(0, "dispatch_us") == doctest::Approx(160 + 3.5));
  CHECK(table.time_us(0, "combine_us") == doctest::Approx(340 - 3.5));
  check_says(text_of("deepep_low_latency.txt"), {"does not say its", "--shape"});
  check_says(text_of("deepep_low_latency.txt"), {"line 4", "bandwidth times time", "shape"},
             {"", "ep=8,experts=256,topk=8,hidden=7168,tokens=64"});
  check_says(text_of("deepep_low_latency.txt"), {"--shape", "depth=3"}, {"", "depth=3"});
  check_says(replaced(text_of("deepep_low_latency.txt"), "avg_t=160.00", "avg_t=16o.00"), {"line 4", "16o.00"}, kShape);
}

TEST_CASE("DeepEP: normal kernels in one node and over several") {
  const LogOptions intra{"", "ep=8,experts=256"}, inter{"", "ep=16,experts=256"};
  const Table one = import("deepep_intranode.txt", intra).tables[0];
  CHECK(one.integer(0, "tokens_per_rank") == 4096);
  CHECK(one.integer(0, "dispatch_sms") == 24);
  CHECK(one.time_us(0, "dispatch_transmit_us") == 385);
  CHECK(one.time_us(0, "combine_transmit_us") == 735);
  const Table two = import("deepep_internode.txt", inter).tables[0];
  CHECK(two.integer(0, "nodes") == 2);
  CHECK(two.time_us(0, "dispatch_transmit_us") == 1234);
  CHECK(two.number(0, "combine_notify_us") == 70);
  const std::string old = replaced(text_of("deepep_intranode.txt"), ", t: 385.00 us", "");
  check_says(old, {"line 6", "without a time"}, intra);
  check_says(replaced(text_of("deepep_intranode.txt"), "Best combine", "Worst combine"), {"no \"Best combine\""},
             intra);
}

TEST_CASE("the document of the micro-benchmarks becomes tables, numbers and warnings") {
  const ImportedLog log = import("measurements_h100.json");
  CHECK(log.synthetic);
  REQUIRE(log.tables.size() == 3);
  CHECK(log.tables[0].rows() == 15);
  CHECK(log.tables[0].text(0, "l2") == "cold");
  CHECK(log.tables[1].rows() == 12);
  CHECK(log.tables[2].text(0, "op") == "all_to_all");
  CHECK(only(log, Quantity::Launch).value == doctest::Approx(1.3e-6).epsilon(0.01));
  CHECK(only(log, Quantity::Hbm).value == doctest::Approx(2.9e12).epsilon(0.01));
  CHECK(only(log, Quantity::PeerRate).value == doctest::Approx(391e9).epsilon(0.01));
  CHECK(only(log, Quantity::HostRate).value == doctest::Approx(55e9).epsilon(0.01));
  CHECK(only(log, Quantity::PeerLatency).value == doctest::Approx(1.6e-6).epsilon(0.01));
  REQUIRE(log.warnings.size() == 1);
  CHECK(log.warnings[0].find("3 of 62 points throttled") != std::string::npos);
  const std::string text = text_of("measurements_h100.json");
  const std::string empty = replaced(text, "\"unit\": \"us\"", "\"unit\": \"ms\"");
  check_says(empty, {"line " + std::to_string(line_holding(empty, "\"ms\"")), "/measurements/0/unit"});
  check_says(replaced(text, "moesim.measurements/1", "moesim.measurements/2"), {"line 2", "/schema"});
}

TEST_CASE("what is in no format says which there are; a table is told from a log") {
  check_says("hello\n", {"line 1", "nccl-tests", "nvbandwidth", "ib_write_bw", "DeepEP"});
  check_says("{}", {"in no format"});
  CHECK(looks_like_table("dtype,m,n,k,latency_us\n"));
  CHECK(looks_like_table("dtype, m, n, k, latency_us\n"));
  CHECK_FALSE(looks_like_table(text_of("nccl_alltoall.txt")));
  CHECK_FALSE(looks_like_table(text_of("ib_write_lat.txt")));
  CHECK_FALSE(looks_like_table(text_of("nvbandwidth.json")));
}

TEST_CASE("a log that is cut off anywhere is read as far as it says, or is one error") {
  for (const char* name : {"nccl_alltoall.txt", "nccl_alltoall.json", "nvbandwidth.json", "ib_write_bw.txt",
                           "ib_write_lat.txt", "deepep_low_latency.txt", "deepep_intranode.txt"}) {
    CAPTURE(name);
    const std::string text = text_of(name);
    for (std::size_t length = 0; length < text.size(); length += 61) {
      CAPTURE(length);
      try {
        const ImportedLog log = import_log(text.substr(0, length), name, kShape);
        CHECK_FALSE((log.tables.empty() && log.readings.empty()));
      } catch (const base::InputError& error) {
        CHECK(std::string(error.what()).find('\n') == std::string::npos);
      }
    }
  }
}

TEST_CASE("the line of a JSON pointer") {
  const std::string text = "{\"a\": [1,\n 2, {\"b\\\"\": \"}\"}],\n \"c\":\n 4}";
  CHECK(line_of_pointer(text, "/a/0") == 1);
  CHECK(line_of_pointer(text, "/a/2") == 2);
  CHECK(line_of_pointer(text, "/c") == 4);
  CHECK(line_of_pointer(text, "/d") == 0);
}

}  // namespace moesim::calibration
