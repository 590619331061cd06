// The files that a scenario names, and those that are taken for one. The other half is declared in sim/scenario.h.
#pragma once

#include "base/json.h"

namespace moesim::sim {

// Throws InputError for a path in the scenario where there is no file.
void check_paths(const base::JsonNode& root);

// The scenario with the cluster of the file that it names in place of the name, so that a result holds all of it.
base::JsonDocument with_cluster_file(const base::JsonDocument& document);

// Paths without folders, on which a hash must not depend.
void shorten_paths(base::Json& scenario);

// Throws InputError for the results of verbs other than `run`: it names the verb that repeats them.
void refuse_other_files(const base::JsonNode& node);

}  // namespace moesim::sim
