// What it costs to start a kernel: back to back in a stream, and as a node of a graph.
#include <chrono>

#include "kernels/harness/measure.cuh"

namespace moesim::kernels {
namespace {

__global__ void nothing() {}

constexpr int kLaunches = 100;

}  // namespace

void measure_launch(Session& session) {
  Point point;
  point.benchmark = "launch";
  point.implementation = "empty kernel, stream";
  point.repeats = kLaunches;
  session.measure(point, [](cudaStream_t stream) { nothing<<<1, 32, 0, stream>>>(); });

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  MOESIM_CUDA(cudaStreamBeginCapture(session.stream(), cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < kLaunches; ++i) nothing<<<1, 32, 0, session.stream()>>>();
  MOESIM_CUDA(cudaStreamEndCapture(session.stream(), &graph));
  MOESIM_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  point.benchmark = "graph_launch";
  point.implementation = "graph of 100 empty kernels in a row";
  point.repeats = 1;
  point.parameters = {{"kernels", kLaunches}};
  session.measure(point, [&](cudaStream_t stream) { MOESIM_CUDA(cudaGraphLaunch(executable, stream)); });
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
}

}  // namespace moesim::kernels
