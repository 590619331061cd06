// Device memory: copy, read, write and gather of rows by kernels of ours, from buffers far beyond L2.
#include <algorithm>
#include <cstdint>

#include "kernels/harness/measure.cuh"
#include "kernels/harness/sweep.h"

namespace moesim::kernels {
namespace {

constexpr int kThreads = 512;

__global__ void copy(const uint4* from, uint4* to, std::size_t count) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x)
    to[i] = from[i];
}

__global__ void read(const uint4* from, std::size_t count, unsigned* sink) {
  unsigned bits = 0;
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x) {
    const uint4 x = from[i];
    bits ^= x.x ^ x.y ^ x.z ^ x.w;
  }
  if (bits == 0x12345678u) *sink = bits;  // keeps the loads
}

__global__ void write(uint4* to, std::size_t count, unsigned value) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x)
    to[i] = uint4{value, value, value, value};
}

// Rows of `row` vectors in a given order.
__global__ void gather(const uint4* from, const std::int32_t* order, uint4* to, std::size_t rows, std::size_t row) {
  for (std::size_t r = blockIdx.x; r < rows; r += gridDim.x)
    for (std::size_t i = threadIdx.x; i < row; i += blockDim.x)
      to[r * row + i] = from[static_cast<std::size_t>(order[r]) * row + i];
}

}  // namespace

void measure_hbm(Session& session, bool quick) {
  const auto largest = static_cast<std::int64_t>(std::int64_t{1} << (quick ? 28 : 31));
  Buffer<uint4> a(static_cast<std::size_t>(largest) / 16), b(static_cast<std::size_t>(largest) / 16);
  Buffer<unsigned> sink(1);
  fill_random(a.get(), a.bytes(), 1, session.stream());
  const int blocks = session.sms() * 4;
  for (const std::int64_t bytes : geometric(1 << 20, largest, quick ? 16 : 4)) {
    const std::size_t count = static_cast<std::size_t>(bytes) / 16;
    Point point;
    point.implementation = "moesim SM kernel, 16-byte accesses";
    point.parameters = {{"bytes", static_cast<double>(bytes)}};
    point.cold_l2 = true;
    point.benchmark = "hbm_copy";
    point.bytes = 2.0 * static_cast<double>(bytes);
    point.poison = [&] { poison(b.get(), static_cast<std::size_t>(bytes)); };
    point.right = [&] { return same_ends(a.get(), b.get(), static_cast<std::size_t>(bytes)); };
    session.measure(point, [&](cudaStream_t s) { copy<<<blocks, kThreads, 0, s>>>(a.get(), b.get(), count); });
    point.bytes = static_cast<double>(bytes);
    point.benchmark = "hbm_write";
    point.right = [&] {
      const std::vector<unsigned> sevens(std::min<std::size_t>(4 * count, 16384), 7);
      const std::size_t size = sevens.size() * sizeof(unsigned);
      return same_ends(b.get(), sevens.data(), size) && same_ends(b.get() + count - size / 16, sevens.data(), size);
    };
    session.measure(point, [&](cudaStream_t s) { write<<<blocks, kThreads, 0, s>>>(b.get(), count, 7); });
    point.benchmark = "hbm_read";
    point.right = nullptr;  // leaves nothing
    session.measure(point, [&](cudaStream_t s) { read<<<blocks, kThreads, 0, s>>>(a.get(), count, sink.get()); });
  }
  constexpr std::size_t kRow = 14336 / 16;  // a bf16 token of 7168 values
  for (const std::int64_t rows : geometric(128, quick ? 8192 : 65536, 8)) {
    std::vector<std::int32_t> order;
    const std::int64_t stored = largest / 14336;
    for (std::int64_t r = 0; r < rows; ++r) order.push_back(static_cast<std::int32_t>(r * 7919 % stored));
    const Buffer<std::int32_t> on_device(order);
    Point point;
    point.benchmark = "hbm_gather";
    point.implementation = "moesim SM kernel, rows of 14336 bytes";
    point.parameters = {{"rows", static_cast<double>(rows)}};
    point.bytes = 2.0 * 14336 * static_cast<double>(rows);
    point.cold_l2 = true;
    point.poison = [&] { poison(b.get(), kRow * 16 * static_cast<std::size_t>(rows)); };
    point.right = [&] {
      bool same = true;
      for (const auto r : {std::size_t{0}, order.size() / 2, order.size() - 1})
        same = same && same_ends(b.get() + r * kRow, a.get() + static_cast<std::size_t>(order[r]) * kRow, kRow * 16);
      return same;
    };
    session.measure(point, [&](cudaStream_t s) {
      gather<<<blocks, 256, 0, s>>>(a.get(), on_device.get(), b.get(), static_cast<std::size_t>(rows), kRow);
    });
  }
}

}  // namespace moesim::kernels
