// Host to device and back: by the copy engine, and by a kernel that reads or writes pinned host memory itself.
#include <cstdint>
#include <cstring>

#include "kernels/harness/measure.cuh"
#include "kernels/harness/sweep.h"

namespace moesim::kernels {
namespace {

__global__ void sm_copy(const uint4* from, uint4* to, std::size_t count) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x)
    to[i] = from[i];
}

class Pinned {
 public:
  explicit Pinned(std::size_t bytes) { MOESIM_CUDA(cudaHostAlloc(&host_, bytes, cudaHostAllocMapped)); }
  ~Pinned() { cudaFreeHost(host_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  void* host() const { return host_; }
  uint4* device() const {
    void* pointer = nullptr;
    MOESIM_CUDA(cudaHostGetDevicePointer(&pointer, host_, 0));
    return static_cast<uint4*>(pointer);
  }

 private:
  void* host_ = nullptr;
};

}  // namespace

void measure_host_copies(Session& session, bool quick) {
  const std::int64_t largest = std::int64_t{1} << (quick ? 26 : 29);
  const Pinned host(static_cast<std::size_t>(largest));
  const Buffer<uint4> device(static_cast<std::size_t>(largest) / 16);
  fill_random(device.get(), device.bytes(), 3, session.stream());
  for (const std::int64_t bytes : geometric(4096, largest, quick ? 32 : 8)) {
    const auto size = static_cast<std::size_t>(bytes);
    Point point;
    point.parameters = {{"bytes", static_cast<double>(bytes)}};
    point.bytes = static_cast<double>(bytes);
    const auto arrived = [&] { return same_ends(host.host(), device.get(), size); };
    // Something new on the side that sends, before the other one is spoilt.
    const auto to_device = [&] { poison(device.get(), size); };
    const auto to_host = [&] {
      fill_random(device.get(), size, static_cast<unsigned>(bytes), session.stream());
      MOESIM_CUDA(cudaStreamSynchronize(session.stream()));
      std::memset(host.host(), 0xff, size);
    };
    to_host();
    MOESIM_CUDA(cudaMemcpy(host.host(), device.get(), size, cudaMemcpyDeviceToHost));
    point.right = arrived;
    point.implementation = "cudaMemcpyAsync (copy engine), pinned";
    point.benchmark = "host_to_device";
    point.poison = to_device;
    session.measure(point, [&](cudaStream_t s) {
      MOESIM_CUDA(cudaMemcpyAsync(device.get(), host.host(), size, cudaMemcpyHostToDevice, s));
    });
    point.benchmark = "device_to_host";
    point.poison = to_host;
    session.measure(point, [&](cudaStream_t s) {
      MOESIM_CUDA(cudaMemcpyAsync(host.host(), device.get(), size, cudaMemcpyDeviceToHost, s));
    });
    point.implementation = "moesim SM kernel, pinned";
    point.benchmark = "host_to_device";
    point.poison = to_device;
    session.measure(point, [&](cudaStream_t s) { sm_copy<<<64, 512, 0, s>>>(host.device(), device.get(), size / 16); });
    point.benchmark = "device_to_host";
    point.poison = to_host;
    session.measure(point, [&](cudaStream_t s) { sm_copy<<<64, 512, 0, s>>>(device.get(), host.device(), size / 16); });
  }
}

}  // namespace moesim::kernels
