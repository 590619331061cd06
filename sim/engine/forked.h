// Running a function in a forked copy of this process, for libraries with global state.
#pragma once

#include <functional>
#include <string>

namespace moesim::engine {

// Returns what `work` returns. What the copy prints does not appear. Throws InternalError, ending in the last of what
// the copy printed, when `work` throws or the copy dies. `work` sees this process's memory as it is now; its changes
// are lost; exit handlers do not run. May be called from any thread: the calling one is the copy's main thread.
std::string run_forked(const std::function<std::string()>& work);

}  // namespace moesim::engine
