#include "workloads/npy.h"

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>

#include <doctest/doctest.h>

#include "tests/base/input_error.h"
#include "tests/workloads/inputs.h"
#include "workloads/trace_summary.h"

namespace moesim::workloads {
namespace {

using tests::Contains;
using tests::input_error;
using tests::made_up_trace;
using tests::ScratchFolder;

std::string npy(const std::string& dictionary, const std::string& data, int version = 1) {
  std::string text = "\x93NUMPY";
  text += {static_cast<char>(version), '\0'};
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) text += static_cast<char>(dictionary.size() >> (8 * i) & 0xff);
  return text + dictionary + data;
}

std::string dictionary(const std::string& descr, const std::string& shape, bool fortran = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }";
}

// The array of a trace as bytes, element by element.
std::string bytes_of(const Trace& trace, std::size_t size, bool big_endian, bool fortran) {
  const auto T = static_cast<std::size_t>(trace.tokens), L = static_cast<std::size_t>(trace.layers),
             K = static_cast<std::size_t>(trace.top_k);
  std::string data(T * L * K * size, '\0');
  for (std::size_t t = 0; t < T; ++t)
    for (std::size_t l = 0; l < L; ++l)
      for (std::size_t i = 0; i < K; ++i) {
        const std::size_t at = fortran ? t + T * (l + L * i) : (t * L + l) * K + i;
        const std::uint64_t id = trace.ids[(l * T + t) * K + i];
        for (std::size_t b = 0; b < size; ++b)
          data[at * size + (big_endian ? size - 1 - b : b)] = static_cast<char>(id >> (8 * b) & 0xff);
      }
  return data;
}

TEST_CASE("every integer type, byte order, array order and version of .npy reads to the same trace") {
  const ScratchFolder folder;
  const Trace expected = made_up_trace(7, 3, 4, 100);
  for (const bool fortran : {false, true})
    for (const int version : {1, 2, 3})
      for (const std::string type :
           {"|i1", "|u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", "<i8", ">u8", "=i4"}) {
        CAPTURE(type);
        const auto size = static_cast<std::size_t>(type[2] - '0');
        const std::string path = folder.write("t.npy", npy(dictionary(type, "(7, 3, 4)", fortran),
                                                           bytes_of(expected, size, type[0] == '>', fortran), version));
        const Trace trace = read_npy(path);
        CHECK(trace.tokens == 7);
        CHECK(trace.layers == 3);
        CHECK(trace.top_k == 4);
        CHECK(trace.ids == expected.ids);
        CHECK(trace.passes == expected.passes);
      }
}

TEST_CASE("a trace written as .npy reads back equal, with 16-bit ids") {
  const ScratchFolder folder;
  for (const int experts : {50, 32768, 65535}) {
    CAPTURE(experts);
    Trace trace = made_up_trace(9, 2, 3, experts);
    trace.ids.front() = static_cast<std::uint16_t>(experts - 1);
    write_npy(trace, folder.file("t.npy"));
    const Trace again = read_npy(folder.file("t.npy"));
    CHECK(again.ids == trace.ids);
    CHECK(again.tokens == trace.tokens);
    const std::string content = base::read_file(folder.file("t.npy"));
    CHECK(content.find(experts <= 32768 ? "'<i2'" : "'<u2'") != std::string::npos);
    const std::size_t data = std::size_t{9} * 2 * 3 * 2;
    CHECK((content.size() - data) % 64 == 0);  // as NumPy aligns it
  }
  CHECK(input_error([&] { write_npy(made_up_trace(1, 1, 1, 4), folder.file("missing/t.npy")); }) ==
        Contains("cannot be written"));
}

TEST_CASE("tokens that are -1 in all layers are padding and left out, passes adjusted") {
  const ScratchFolder folder;
  Trace trace = made_up_trace(5, 2, 2, 50);
  const std::string good = bytes_of(trace, 2, false, false);
  std::string data = good;
  constexpr std::size_t token_bytes = std::size_t{2} * 2 * 2;
  for (std::size_t b = 0; b < token_bytes; ++b)
    data[token_bytes + b] = data[4 * token_bytes + b] = '\xff';  // tokens 1 and 4
  const Trace read = read_npy(folder.write("t.npy", npy(dictionary("<i2", "(5, 2, 2)"), data)));
  CHECK(read.tokens == 3);
  CHECK(read.padding_dropped == 2);
  CHECK(read.passes == std::vector<std::int64_t>{0, 3});
  for (std::int32_t layer = 0; layer < 2; ++layer)
    for (const auto& [token, kept] : std::vector<std::pair<int, int>>{{0, 0}, {2, 1}, {3, 2}})
      for (std::size_t i = 0; i < 2; ++i)
        CHECK(read.layer(layer).slice(kept, 1).experts[i] == trace.layer(layer).slice(token, 1).experts[i]);

  data = good;
  data[3 * 8 + 4] = data[3 * 8 + 5] = '\xff';  // token 3, layer 1, first expert
  const std::string error =
      input_error([&] { read_npy(folder.write("t.npy", npy(dictionary("<i2", "(5, 2, 2)"), data))); });
  CHECK(error == Contains("token 3, layer 1"));
  CHECK(error == Contains("padding"));
}

TEST_CASE("damaged, foreign and absurd .npy files are refused in words") {
  struct Bad {
    const char* what;
    std::string content;
    const char* problem;
  };
  const std::string data(12, '\1');  // 2 x 3 x 2 bytes
  const std::string shape = "(2, 3, 2)";
  for (const Bad& bad : std::vector<Bad>{
           {"empty", "", "not a .npy file"},
           {"text", "hello, world", "not a .npy file"},
           {"zip", "PK\3\4 an .npz archive", "not a .npy file"},
           {"only magic", "\x93NUMPY", "truncated"},
           {"cut header", npy(dictionary("|u1", shape), "").substr(0, 40), "truncated"},
           {"version 9", npy(dictionary("|u1", shape), data, 9), "version 9"},
           {"one byte short", npy(dictionary("|u1", shape), data.substr(1)), "truncated file"},
           {"one byte more", npy(dictionary("|u1", shape), data + "x"), "trailing bytes"},
           {"floats", npy(dictionary("<f4", shape), std::string(48, '\0')), "not an array of integers (descr '<f4')"},
           {"booleans", npy(dictionary("|b1", shape), data), "not an array of integers"},
           {"objects", npy(dictionary("|O", shape), data), "pickled Python objects"},
           {"structured", npy("{'descr': [('a', '<i2')], 'fortran_order': False, 'shape': (2,), }", data),
            "structured"},
           {"16-byte integers", npy(dictionary("<i9", shape), data), "not an array of integers"},
           {"a token as large as memory", npy(dictionary("|u1", "(1, 65535, 65535)"), data), "at most 1048576 ids"},
           {"two dimensions", npy(dictionary("|u1", "(4, 3)"), data),
            "shape [4, 3]; expected [tokens, moe_layers, top_k]"},
           {"one dimension", npy(dictionary("|u1", "(12,)"), data), "shape [12]"},
           {"no dimension", npy(dictionary("|u1", "()"), data.substr(11)), "shape []"},
           {"no tokens", npy(dictionary("|u1", "(0, 3, 2)"), ""), "no zero"},
           {"more than memory", npy(dictionary("<i8", "(4611686018427387904, 60, 8)"), data), "truncated file"},
           {"wraps round 2^64", npy(dictionary("|u1", "(6148914691236517206, 3, 2)"), data), "truncated file"},
           {"beyond 2^64", npy(dictionary("|u1", "(99999999999999999999, 3, 2)"), data), "damaged shape"},
           {"negative", npy(dictionary("|u1", "(-2, 3, 2)"), data), "damaged shape"},
           {"no shape", npy("{'descr': '|u1', 'fortran_order': False, }", data), "damaged header"},
           {"no truth", npy("{'descr': '|u1', 'fortran_order': 0, 'shape': (2, 3, 2), }", data), "True or False"},
           {"unknown key", npy("{'descr': '|u1', 'colour': 'red', }", data), "unknown header key 'colour'"},
           {"open quote", npy("{'descr: ", data), "damaged header"},
           {"not a dictionary", npy("[1, 2]", data), "damaged header"}}) {
    CAPTURE(bad.what);
    const ScratchFolder folder;
    const std::string path = folder.write("bad.npy", bad.content);
    const std::string error = input_error([&] { read_npy(path); });
    CHECK(error == Contains(("bad.npy: ")));
    CHECK(error == Contains(bad.problem));
  }
}

TEST_CASE("expert ids that cannot be are refused with their token and layer") {
  const ScratchFolder folder;
  const auto error_of = [&](const std::string& type, std::uint64_t id) {
    const auto size = static_cast<std::size_t>(type[2] - '0');
    std::string data = bytes_of(made_up_trace(4, 3, 2, 50), size, false, false);
    const std::size_t at = std::size_t{2 * 3 + 1} * 2;  // token 2, layer 1, first expert
    for (std::size_t b = 0; b < size; ++b) data[at * size + b] = static_cast<char>(id >> (8 * b) & 0xff);
    return input_error([&] { read_npy(folder.write("t.npy", npy(dictionary(type, "(4, 3, 2)"), data))); });
  };
  const std::uint64_t second = (31 * 2 + 7 + 1) % 50;
  CHECK(error_of("<i4", 65535) == Contains("token 2, layer 1: expert id 65535 out of range; expected 0 to 65534"));
  CHECK(error_of("<i4", static_cast<std::uint64_t>(-2)) == Contains("token 2, layer 1: expert id -2 out of range"));
  CHECK(error_of("<u8", std::uint64_t{1} << 63) == Contains("token 2, layer 1: expert id above 2^63 out of range"));
  CHECK(error_of("<i2", second) == Contains("token 2, layer 1: expert " + std::to_string(second) + " chosen twice"));
}

TEST_CASE("arrays written by NumPy itself read right") {
  const std::string python = "/usr/bin/python3";
  if (std::system((python + " -c 'import numpy' 2>/dev/null").c_str()) != 0) {
    std::cout << "skipped: needs " << python << " with NumPy (python3-numpy)\n";
    return;
  }
  const ScratchFolder folder;
  folder.write("make.py", R"(import sys
import numpy as np
t, l, i = np.meshgrid(np.arange(6), np.arange(3), np.arange(4), indexing="ij")
ids = (31 * t + 7 * l + i) % 100
for kind in ["i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8", ">u8"]:
    for order in "CF":
        for version in [(1, 0), (2, 0), (3, 0)]:
            name = f"{sys.argv[1]}/{kind.replace('<', 'le').replace('>', 'be')}_{order}{version[0]}.npy"
            with open(name, "wb") as out:
                np.lib.format.write_array(out, np.asarray(ids.astype(kind), order=order), version=version)
for save, name in [(np.savez, "stored"), (np.savez_compressed, "packed")]:
    for order in "CF":
        save(f"{sys.argv[1]}/{name}_{order}.npz", np.asarray(ids.astype("<i4"), order=order))
np.savez_compressed(sys.argv[1] + "/named_.npz", logits=np.zeros(3), routed_experts=ids.astype(">u2"))
np.savez(sys.argv[1] + "/several.npz", first=ids, second=ids)
np.savez(sys.argv[1] + "/floats.npz", ids * 1.0)
np.savez(sys.argv[1] + "/none.npz")
dense = np.concatenate([np.zeros((6, 2, 4), int), ids, np.full((6, 1, 4), -1)], axis=1)
np.save(sys.argv[1] + "/dense.npy", dense)
np.save(sys.argv[1] + "/pickled.npy", np.array([[[{1: 2}]]], dtype=object))
written = np.load(sys.argv[1] + "/ours.npy")
assert written.dtype == np.int16 and written.shape == (6, 3, 4) and (written == ids).all()
)");
  const Trace expected = made_up_trace(6, 3, 4, 100);
  write_npy(expected, folder.file("ours.npy"));
  REQUIRE(std::system((python + " " + folder.file("make.py") + " " + folder.path().string()).c_str()) == 0);
  int arrays = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const std::string name = entry.path().filename().string();
    // TYPE_ORDER.npy, and .npz alike.
    if (name.find('_') == std::string::npos && name != "ours.npy") continue;
    CAPTURE(name);
    CHECK(read_npy(entry.path().string()).ids == expected.ids);
    CHECK(summarize_trace(entry.path().string(), 0, 100).loads[1] == expert_loads(expected.layer(1), 100));
    ++arrays;
  }
  CHECK(arrays == 14 * 2 * 3 + 1 + 2 * 2 + 1);
  const auto error_of = [&](const char* name) { return input_error([&] { read_npy(folder.file(name)); }); };
  CHECK(error_of("several.npz") ==
        Contains("several arrays: first, second; expected one array, or one that is named routed_experts or topk_ids"));
  CHECK(error_of("floats.npz") == Contains("not an array of integers (descr '<f8')"));
  CHECK(error_of("none.npz") == Contains("an archive without arrays"));
  CHECK(error_of("nowhere.npz") == Contains("cannot be read"));
  const std::string whole = base::read_file(folder.file("packed_C.npz"));
  folder.write("cut.npz", whole.substr(0, whole.size() / 2));
  CHECK(error_of("cut.npz") == Contains("not a readable .npz archive"));
  std::string damaged = whole;  // inside the packed data
  for (std::size_t i = 60; i < 90; ++i) damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
  folder.write("damaged.npz", damaged);
  CHECK(!error_of("damaged.npz").empty());

  // Layers of the model that have no experts: zero in vLLM's arrays, -1 in SGLang's.
  const Trace dense = read_npy(folder.file("dense.npy"));
  CHECK(dense.ids == expected.ids);
  CHECK(dense.layers == 3);
  CHECK(dense.layers_dropped == std::vector<std::int32_t>{0, 1, 5});
  const TraceSummary summary = summarize_trace(folder.file("dense.npy"), 0, 100);
  CHECK(summary.layers_dropped == dense.layers_dropped);
  CHECK(summary.layers == 3);
  CHECK(summary.loads[2] == expert_loads(expected.layer(2), 100));
  CHECK(input_error([&] { read_npy(folder.file("pickled.npy")); }) == Contains("pickled Python objects"));
}

}  // namespace
}  // namespace moesim::workloads
