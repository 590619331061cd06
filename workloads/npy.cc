#include "workloads/npy.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "workloads/npy_header.h"

namespace moesim::workloads {
namespace {

void convert(const char* data, const NpyHeader& header, const NpyElement& element, const std::string& file,
             Trace& trace) {
  const auto tokens = header.shape[0], layers = header.shape[1], k = header.shape[2];
  trace.ids.resize(tokens * layers * k);
  std::uint16_t* out = trace.ids.data();
  for (std::uint64_t layer = 0; layer < layers; ++layer) {
    for (std::uint64_t token = 0; token < tokens; ++token) {
      for (std::uint64_t i = 0; i < k; ++i) {
        const std::uint64_t at =
            header.fortran_order ? token + tokens * (layer + layers * i) : (token * layers + layer) * k + i;
        const auto id = element.read(data + at * element.size);
        if (!id || *id < -1 || *id > kMaxExpertId)
          throw base::InputError(file, "token " + std::to_string(token) + ", layer " + std::to_string(layer),
                                 "expert id " + (id ? std::to_string(*id) : "above 2^63") + " out of range",
                                 "0 to " + std::to_string(kMaxExpertId) + ", or -1 for padding");
        *out++ = *id == -1 ? kPaddingId : static_cast<std::uint16_t>(*id);
      }
    }
  }
}

}  // namespace

Trace read_npy(const std::string& path) { return parse_npy(base::read_file(path), path); }

Trace parse_npy(std::string_view content, const std::string& path) {
  const NpyHeader header = parse_npy_header(content, path);
  const NpyElement element = parse_npy_element(header.descr, path);
  check_npy_shape(header, element, content.size() - header.data, path);
  Trace trace;
  trace.tokens = static_cast<std::int64_t>(header.shape[0]);
  trace.layers = static_cast<std::int32_t>(header.shape[1]);
  trace.top_k = static_cast<std::int32_t>(header.shape[2]);
  trace.source = path + " (content " + base::content_hash(content) + ")";
  convert(content.data() + header.data, header, element, path, trace);
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
