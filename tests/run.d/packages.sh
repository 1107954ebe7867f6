# Finds out what is missing on this machine and installs it. Sourced by tests/run.
# shellcheck shell=bash disable=SC2154

# Prints the missing Debian packages, one a line.
missing_packages() {
  command -v cc >/dev/null || { echo gcc; echo libc6-dev; }
  if needing rabbitmq && [ -z "${CELERIAC_TEST_AMQP_URL:-}" ]; then
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || echo rabbitmq-server
  fi
  if needing redis && [ -z "${CELERIAC_TEST_REDIS_URL:-}" ]; then
    command -v redis-server >/dev/null || echo redis-server
  fi
  if needing network; then
    # Its servers are never somebody else's: they listen where hosts can reach them.
    command -v ip >/dev/null || echo iproute2
    command -v unshare >/dev/null || echo util-linux
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || echo rabbitmq-server
    command -v redis-server >/dev/null || echo redis-server
  fi
  if needing postgres && [ -z "${CELERIAC_TEST_POSTGRES_URL:-}" ]; then
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || echo postgresql
  fi
  if needing chromium && ! command -v chromium chromium-browser google-chrome >/dev/null; then
    echo chromium
  fi
  if needing image; then
    command -v podman >/dev/null || echo podman
    command -v buildah >/dev/null || echo buildah
    [ -x /usr/sbin/runc ] || command -v runc >/dev/null || echo runc
  fi
  command -v python3 >/dev/null || echo python3
  if { needing python || needing suite || needing k8s; } && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    # With a pip that can install into another environment venv needs no package.
    python3 -m pip --version >/dev/null 2>&1 || echo python3-venv
  fi
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_packages() {
  local missing
  command -v cargo >/dev/null || explain_missing "cargo (rustup installs it)"
  [ -n "$(missing_packages)" ] || return 0
  # Two runs on one machine must not install at the same time.
  exec 9>"$target_dir/tests-setup.lock"
  flock 9
  missing=$(missing_packages | tr '\n' ' ')
  if [ -n "$missing" ]; then
    as_root true 2>/dev/null || explain_missing "$missing"
    command -v apt-get >/dev/null || explain_missing "$missing"
    title "installing $missing"
    # shellcheck disable=SC2086 # a list of words
    apt_install $missing >"$scratch/log/apt.log" 2>&1 || {
      tail -n 20 "$scratch/log/apt.log" >&2
      explain_missing "$missing"
    }
    missing=$(missing_packages | tr '\n' ' ')
    [ -z "$missing" ] || explain_missing "$missing"
  fi
  exec 9>&-
}

explain_missing() {
  cat >&2 <<EXPLAIN
./tests/run: missing and not installed: $1
Install these Debian or Ubuntu packages, or name servers that run elsewhere
and may be filled with test data:
  CELERIAC_TEST_AMQP_URL=amqp://guest:guest@127.0.0.1:5672//
  CELERIAC_TEST_RABBITMQ_API=http://guest:guest@127.0.0.1:15672
  CELERIAC_TEST_REDIS_URL=redis://127.0.0.1:6379/0
  CELERIAC_TEST_POSTGRES_URL=postgres://user:password@127.0.0.1/database (who may make databases)
tests/README.md has the rest.
EXPLAIN
  exit 64
}

apt_install() {
  local install=(as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y
    --no-install-recommends -o DPkg::Lock::Timeout=300 "$@")
  guard_services
  with_package_lists "${install[@]}" || { unguard_services; return 1; }
  unguard_services
}

# apt_download PACKAGE: into the current folder, without installing it.
apt_download() {
  command -v apt-get >/dev/null || {
    echo "$1: expected apt-get to download it with, found none; install $1 and have its programs in PATH"
    return 1
  }
  with_package_lists apt-get download "$@"
}

# with_package_lists COMMAND...: runs it, and once more with new lists when these are old.
with_package_lists() {
  # A list older than a week names package versions that the mirrors have dropped.
  if [ -z "$(find /var/lib/apt/lists -maxdepth 0 -mtime -7)" ] ||
    ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || ! "$@"; then
    as_root apt-get update -o DPkg::Lock::Timeout=300
    "$@"
  fi
}

# The packages of servers start them. policy-rc.d is Debian's way to say no; one that
# exists already is another's decision and stays.
guard_services() {
  [ ! -e /usr/sbin/policy-rc.d ] || return 0
  services_guarded=1
  printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
  as_root chmod 755 /usr/sbin/policy-rc.d
}

unguard_services() {
  [ "${services_guarded:-0}" = 1 ] || return 0
  services_guarded=0
  as_root rm -f /usr/sbin/policy-rc.d
}
