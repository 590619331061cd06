#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>

#include <dlfcn.h>

#include "kernels/harness/device.cuh"

namespace moesim::kernels {
namespace {

__global__ void fill(std::uint32_t* words, std::size_t count, std::uint32_t seed) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x) {
    std::uint32_t x = static_cast<std::uint32_t>(i) * 2654435761u + seed;  // a hash of the position
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    x ^= x >> 16;
    words[i] = x & 0xbf3fbf3fu;  // finite and below 2 as bf16, fp16, fp32, and as fp8
  }
}

// Those functions of NVML that are used; its header is not needed.
struct Nvml {
  Nvml() : library({"libnvidia-ml.so.1"}) {
    if (auto* init = library.find<int()>("nvmlInit_v2"); init() != 0) throw std::runtime_error("nvmlInit_v2 failed");
  }
  Library library;
};

const Nvml* nvml() {
  static const std::unique_ptr<Nvml> loaded = [] {
    try {
      return std::make_unique<Nvml>();
    } catch (const std::runtime_error&) {
      return std::unique_ptr<Nvml>();
    }
  }();
  return loaded.get();
}

void* nvml_device(int device) {
  std::array<char, 32> bus{};
  if (nvml() == nullptr || cudaDeviceGetPCIBusId(bus.data(), static_cast<int>(bus.size()), device) != cudaSuccess)
    return nullptr;
  void* handle = nullptr;
  const auto find = nvml()->library.find<int(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2");
  return find(bus.data(), &handle) == 0 ? handle : nullptr;
}

std::string version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

}  // namespace

CudaError::CudaError(cudaError_t code, const char* call, const char* file, int line)
    : std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + call + ": " +
                         cudaGetErrorString(code)) {}

double Event::since(const Event& earlier) const {
  float milliseconds = 0;
  MOESIM_CUDA(cudaEventElapsedTime(&milliseconds, earlier.event_, event_));
  return milliseconds * 1e3;
}

void fill_random(void* data, std::size_t bytes, unsigned seed, cudaStream_t stream) {
  fill<<<1024, 256, 0, stream>>>(static_cast<std::uint32_t*>(data), bytes / 4, seed);
  MOESIM_CUDA(cudaGetLastError());
}

void poison(void* data, std::size_t bytes) {
  MOESIM_CUDA(cudaMemset(data, 0xff, bytes));
  MOESIM_CUDA(cudaDeviceSynchronize());
}

bool same_ends(const void* a, const void* b, std::size_t bytes) {
  constexpr std::size_t kEnd = std::size_t{64} << 10;
  const std::size_t size = std::min(bytes, kEnd);
  std::vector<unsigned char> x(size), y(size);
  for (const std::size_t at : {std::size_t{0}, bytes - size}) {
    MOESIM_CUDA(cudaMemcpy(x.data(), static_cast<const unsigned char*>(a) + at, size, cudaMemcpyDefault));
    MOESIM_CUDA(cudaMemcpy(y.data(), static_cast<const unsigned char*>(b) + at, size, cudaMemcpyDefault));
    if (x != y) return false;
  }
  return true;
}

double sm_clock_mhz(int device) {
  void* handle = nvml_device(device);
  if (handle == nullptr) return 0;
  constexpr int kSmClock = 1;
  unsigned mhz = 0;
  const auto get = nvml()->library.find<int(void*, int, unsigned*)>("nvmlDeviceGetClockInfo");
  return get(handle, kSmClock, &mhz) == 0 ? mhz : 0;
}

Machine describe_machine(const std::string& command) {
  Machine machine;
  int device = 0, driver = 0, runtime = 0;
  MOESIM_CUDA(cudaGetDeviceCount(&machine.gpus));
  MOESIM_CUDA(cudaGetDevice(&device));
  MOESIM_CUDA(cudaDriverGetVersion(&driver));
  MOESIM_CUDA(cudaRuntimeGetVersion(&runtime));
  cudaDeviceProp properties{};
  MOESIM_CUDA(cudaGetDeviceProperties(&properties, device));
  machine.gpu = properties.name;
  machine.compute_capability = std::to_string(properties.major) + "." + std::to_string(properties.minor);
  machine.sms = properties.multiProcessorCount;
  machine.memory_bytes = static_cast<double>(properties.totalGlobalMem);
  machine.l2_bytes = properties.l2CacheSize;
  machine.driver = "CUDA " + version(driver);
  machine.runtime = version(runtime);
  machine.command = command;
  std::array<char, 64> text{};
  for (int i = 0; i < 16; ++i)
    std::snprintf(text.data() + 2 * i, 3, "%02x", static_cast<unsigned char>(properties.uuid.bytes[i]));
  machine.uuid = text.data();
  const std::time_t now = std::time(nullptr);
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  machine.date = text.data();
  if (nvml() == nullptr) {
    machine.notes.push_back("NVML is not there: clocks and other processes are unknown");
  } else if (void* handle = nvml_device(device)) {
    unsigned count = 0;
    const auto processes =
        nvml()->library.find<int(void*, unsigned*, void*)>("nvmlDeviceGetComputeRunningProcesses_v3");
    const int code = processes(handle, &count, nullptr);  // with no room it tells how many there are
    if (code == 7 && count > 1)
      machine.notes.push_back(std::to_string(count) + " processes use this GPU: times may be disturbed");
  }
  return machine;
}

Library::Library(const std::vector<std::string>& names) {
  std::string tried;
  for (const std::string& name : names) {
    handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) return;
    tried += (tried.empty() ? "" : ", ") + name;
  }
  throw std::runtime_error("no library " + tried);
}

Library::~Library() {
  if (handle_ != nullptr) dlclose(handle_);
}

void* Library::address(const char* name) const {
  void* found = dlsym(handle_, name);
  if (found == nullptr) throw std::runtime_error(std::string("the library has no ") + name);
  return found;
}

}  // namespace moesim::kernels
