// NCCL's all-to-all among the GPUs of this machine, from one process.
#include "kernels/harness/measure.cuh"
#include "kernels/harness/sweep.h"

#if __has_include(<nccl.h>)
#include <memory>

#include <nccl.h>

namespace moesim::kernels {
namespace {

void nccl(ncclResult_t result, const char* call) {
  if (result != ncclSuccess) throw std::runtime_error(std::string(call) + " failed with " + std::to_string(result));
}

}  // namespace

void measure_nccl(Session& session, bool quick) {
  int gpus = 0;
  MOESIM_CUDA(cudaGetDeviceCount(&gpus));
  if (gpus < 2) return session.skip("nccl_all_to_all", "there is one GPU");
  try {
    const Library library({"libnccl.so.2"});
    int number = 0;
    nccl(library.find<decltype(ncclGetVersion)>("ncclGetVersion")(&number), "ncclGetVersion");
    std::vector<ncclComm_t> communicators(static_cast<std::size_t>(gpus));
    nccl(library.find<decltype(ncclCommInitAll)>("ncclCommInitAll")(communicators.data(), gpus, nullptr),
         "ncclCommInitAll");
    const auto begin = library.find<decltype(ncclGroupStart)>("ncclGroupStart");
    const auto end = library.find<decltype(ncclGroupEnd)>("ncclGroupEnd");
    const auto send = library.find<decltype(ncclSend)>("ncclSend");
    const auto receive = library.find<decltype(ncclRecv)>("ncclRecv");
    const std::int64_t largest = std::int64_t{1} << (quick ? 26 : 30);
    std::vector<Buffer<unsigned char>> from, to;
    std::vector<std::unique_ptr<Stream>> streams;
    for (int gpu = 0; gpu < gpus; ++gpu) {
      MOESIM_CUDA(cudaSetDevice(gpu));
      from.emplace_back(static_cast<std::size_t>(largest));
      to.emplace_back(static_cast<std::size_t>(largest));
      streams.push_back(std::make_unique<Stream>());
      fill_random(from.back().get(), from.back().bytes(), static_cast<unsigned>(gpu), *streams.back());
      streams.back()->wait();
    }
    MOESIM_CUDA(cudaSetDevice(0));
    for (const std::int64_t bytes : geometric(4096, largest, quick ? 32 : 4)) {
      const std::size_t part = static_cast<std::size_t>(bytes) / static_cast<std::size_t>(gpus);
      Point point;
      point.benchmark = "nccl_all_to_all";
      point.implementation = "NCCL " + std::to_string(number);
      point.parameters = {{"gpus", static_cast<double>(gpus)}, {"bytes", static_cast<double>(bytes)}};
      point.bytes = static_cast<double>(part) * (gpus - 1);
      point.blocked = false;
      point.poison = [&] {
        for (int gpu = 0; gpu < gpus; ++gpu) {
          MOESIM_CUDA(cudaSetDevice(gpu));
          poison(to[static_cast<std::size_t>(gpu)].get(), static_cast<std::size_t>(bytes));
        }
        MOESIM_CUDA(cudaSetDevice(0));
      };
      point.right = [&] {
        for (const auto& stream : streams) stream->wait();
        bool same = true;
        for (std::size_t a = 0; a < from.size(); ++a)
          for (std::size_t b = 0; b < from.size(); ++b)
            same = same && same_ends(from[a].get() + b * part, to[b].get() + a * part, part);
        return same;
      };
      session.measure(point, [&](cudaStream_t s) {
        nccl(begin(), "ncclGroupStart");
        for (int gpu = 0; gpu < gpus; ++gpu) {
          const auto g = static_cast<std::size_t>(gpu);
          const cudaStream_t stream = gpu == 0 ? s : static_cast<cudaStream_t>(*streams[g]);
          for (int peer = 0; peer < gpus; ++peer) {
            const std::size_t at = static_cast<std::size_t>(peer) * part;
            nccl(send(from[g].get() + at, part, ncclUint8, peer, communicators[g], stream), "ncclSend");
            nccl(receive(to[g].get() + at, part, ncclUint8, peer, communicators[g], stream), "ncclRecv");
          }
        }
        nccl(end(), "ncclGroupEnd");
      });
    }
    for (const auto& stream : streams) stream->wait();
    for (const ncclComm_t communicator : communicators)
      library.find<decltype(ncclCommDestroy)>("ncclCommDestroy")(communicator);
  } catch (const CudaError&) {
    throw;
  } catch (const std::runtime_error& error) {
    session.skip("nccl_all_to_all", error.what());
  }
}

}  // namespace moesim::kernels

#else

namespace moesim::kernels {

void measure_nccl(Session& session, bool /*quick*/) { session.skip("nccl_all_to_all", "built without NCCL's header"); }

}  // namespace moesim::kernels

#endif
