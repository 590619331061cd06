# What the scripts share; to be sourced. Leaves the shell in the project's root, deaf to standard input.
# shellcheck shell=bash
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

logs=build/logs
mkdir -p "$logs"

say() { printf '%s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# How many compilers at once: the cores, but no more than one for every 1.5 GiB of free memory.
job_count() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '$1 == "MemAvailable:" { print int($2 / (1.5 * 1024 * 1024)) }' /proc/meminfo 2>/dev/null) || memory=
  [ -n "$memory" ] && [ "$memory" -lt "$cores" ] && cores=$memory
  [ "$cores" -ge 1 ] || cores=1
  printf '%s\n' "$cores"
}

# logged NAME COMMAND...: shows the command's output on a terminal; otherwise keeps it in a log, of which the failing part
# (what ninja marks, else the end) is shown if the command fails.
logged() {
  local log=$logs/$1.log
  shift
  if [ -t 1 ]; then
    "$@" || fail "'$*' failed"
  elif ! "$@" >"$log" 2>&1; then
    { sed -n '/^FAILED:/,$p' "$log" | grep . || cat "$log"; } | tail -n 60 >&2
    fail "'$*' failed; its whole output is in $log"
  fi
}

# Those packages named in FILE... that are not installed.
missing_packages() {
  local wanted installed
  wanted=$(sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$@" | sort -u)
  # shellcheck disable=SC2086  # one word a package
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' | sort -u) ||
    true  # it fails when it knows nothing of some package
  comm -23 <(printf '%s\n' "$wanted") <(printf '%s\n' "$installed")
}

# Installs what is missing of the packages in FILE..., and touches no network if nothing is.
install_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "This is neither Debian nor Ubuntu: install the equivalents of the packages in $* yourself. Going on."
    return
  fi
  local missing as_root=()
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "installing needs root and there is no sudo. As root: apt-get install ${missing[*]}"
    [ -t 1 ] || sudo -n true 2>/dev/null || fail "installing needs root. First: sudo apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "Installing ${#missing[@]} missing packages: ${missing[*]}"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  logged apt-update "${apt[@]}" update
  logged apt-install "${apt[@]}" install --yes --no-install-recommends "${missing[@]}"
}

# build PRESET [CMAKE OPTION...]: configures build/PRESET and builds it.
build() {
  local preset=$1 folder=build/$1 started=$SECONDS
  shift
  # A folder configured for a checkout elsewhere (a copy, a container) cannot be used.
  if [ -f "$folder/CMakeCache.txt" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$folder/CMakeCache.txt"; then
    rm -rf "$folder"
  fi
  say "Building $folder with $(job_count) jobs"
  logged "configure-$preset" cmake --preset "$preset" "$@"
  logged "build-$preset" cmake --build "$folder" --parallel "$(job_count)"
  say "Built in $((SECONDS - started)) s"
}

setup() {
  install_packages scripts/packages.txt
  build release
}

# run_tests PRESET: all tests of build/PRESET; the exit status and the last line are ctest's.
run_tests() {
  local folder=build/$1 log=$logs/test-$1.log status=0
  local reference=${MOESIM_REFERENCE_DATA:-../shared}
  ctest --test-dir "$folder" --parallel "$(job_count)" --output-on-failure --no-tests=error 2>&1 |
    tee "$log" | sed -u '/% tests passed/,$d' || status=$?
  if [ -d "$reference" ]; then
    say "Reference data: found in $reference"
  else
    say "Reference data: none in $reference (MOESIM_REFERENCE_DATA)"
  fi
  awk '/ skipped for lack of reference data/ { n += $1 } END { print "Skipped for lack of reference data: " n + 0 }' \
    "$folder/Testing/Temporary/LastTest.log" 2>/dev/null || true
  if command -v nvcc >/dev/null; then
    say "CUDA compiler: found; the micro-benchmarks build with it: cmake -S kernels -B build/kernels"
  else
    say "CUDA compiler: none (only the micro-benchmarks of kernels/ need one)"
  fi
  sed -n '/% tests passed/,$ { /% tests passed/!p; }' "$log" | sed '/^$/d'
  grep '% tests passed' "$log" || { tail -n 3 "$log"; status=1; }
  return "$status"
}
