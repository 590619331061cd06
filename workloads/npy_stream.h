// A .npy or .npz trace read a block of tokens at a time, whatever its size. Format: workloads/npy.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace moesim::workloads {

class NpyStream {
 public:
  // Reads the header and checks it against the size of the file; no allocation depends on what the header claims.
  // Throws InputError as read_npy does.
  explicit NpyStream(const std::string& path);
  ~NpyStream();
  NpyStream(NpyStream&&) noexcept;

  std::int64_t tokens() const;
  std::int32_t layers() const;
  std::int32_t top_k() const;

  // The next tokens, [tokens][layers][top_k], padding ids as kPaddingId (workloads/trace.h); empty after the last.
  // Valid until the next call. Throws InputError naming token and layer for ids outside -1 ... 65534. About 512 KiB of
  // ids (4 MiB in Fortran order), at least one token.
  std::span<const std::uint16_t> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moesim::workloads
