# Builds the container image, without a registry, and tests it. Sourced by tests/run.
# shellcheck shell=bash disable=SC2154

image_tests() {
  local folder=$target_dir/tests-image status=0
  if [ "$(id -u)" != 0 ]; then
    echo "the part image: expected to be root, who may start containers here, found user $(id -u)"
    return 1
  fi
  image_settings "$folder" || return
  title "building the release binary with the flags of the Dockerfile: image/build.sh"
  CARGO_TARGET_DIR=$target_dir/image image/build.sh "$folder/build/out" || return
  title "building the last stage of the Dockerfile around it"
  # The stage that compiles needs an image from a registry; what it makes was made above.
  "${CELERIAC_TEST_PODMAN[@]}" build --format docker --target celeriac \
    --build-context "build=$folder/build" \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --tag localhost/celeriac:test . || return
  title "running it"
  CELERIAC_TEST_PODMAN="${CELERIAC_TEST_PODMAN[*]}" CELERIAC_TEST_IMAGE=localhost/celeriac:test \
    run_in tests/image "$CELERIAC_TEST_PYTHON" -m pytest -c ../python/pytest.ini --rootdir . "$@" || status=$?
  return "$status"
}

run_in() (
  cd "$1" || exit
  shift
  "$@"
)

# image_settings FOLDER: podman with images of its own, and with what a machine allows that
# is itself a container: no higher limits, cgroups of either version.
image_settings() {
  mkdir -p "$1"
  cat >"$1/containers.conf" <<'SETTINGS'
[containers]
default_ulimits = ["nofile=1024:20000", "nproc=4096:4096"]
log_driver = "k8s-file"
cgroupns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
SETTINGS
  export CONTAINERS_CONF=$1/containers.conf
  # Beside each other's runs: the images of this checkout, the containers of this run.
  CELERIAC_TEST_PODMAN=(podman --root "$1/podman" --runroot "$scratch/podman")
}
