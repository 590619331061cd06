#include "workloads/npy.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "workloads/npy_header.h"
#include "workloads/npy_stream.h"

namespace moesim::workloads {

Trace read_npy(const std::string& path) {
  NpyStream stream(path);
  Trace trace;
  trace.tokens = stream.tokens();
  trace.layers = stream.layers();
  trace.top_k = stream.top_k();
  // Token by token as they come, then layer by layer. Nothing is reserved: what an archive claims may be absurd.
  std::vector<std::uint16_t> ids;
  for (auto block = stream.next(); !block.empty(); block = stream.next())
    ids.insert(ids.end(), block.begin(), block.end());
  const auto k = static_cast<std::size_t>(trace.top_k), width = k * static_cast<std::size_t>(trace.layers);
  trace.ids.resize(ids.size());
  std::uint16_t* out = trace.ids.data();
  for (std::size_t first = 0; first < width; first += k)
    for (std::size_t at = first; at < ids.size(); at += width) out = std::copy_n(ids.data() + at, k, out);
  ids = {};
  trace.source = path + " (content " + base::content_hash(base::read_file(path)) + ")";
  finish_trace(trace, path);
  return trace;
}

void write_npy(const Trace& trace, const std::string& path) {
  const bool wide = std::any_of(trace.ids.begin(), trace.ids.end(), [](std::uint16_t id) { return id > 0x7fff; });
  std::string header = std::string("{'descr': '") + (wide ? "<u2" : "<i2") + "', 'fortran_order': False, 'shape': (" +
                       std::to_string(trace.tokens) + ", " + std::to_string(trace.layers) + ", " +
                       std::to_string(trace.top_k) + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');  // data starts at a multiple of 64 bytes
  header += '\n';
  std::string content(kNpyMagic);
  content += {'\x01', '\x00', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  content += header;
  content.reserve(content.size() + 2 * trace.ids.size());
  const auto k = static_cast<std::size_t>(trace.top_k);
  for (std::int64_t token = 0; token < trace.tokens; ++token) {
    for (std::int32_t layer = 0; layer < trace.layers; ++layer) {
      for (const std::uint16_t id : trace.layer(layer).experts.subspan(static_cast<std::size_t>(token) * k, k)) {
        content += static_cast<char>(id & 0xff);
        content += static_cast<char>(id >> 8);
      }
    }
  }
  base::write_file(path, content);
}

}  // namespace moesim::workloads
