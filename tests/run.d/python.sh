# The virtual environment of the Python tests. Sourced by tests/run.
# shellcheck shell=bash disable=SC2154

venv=tests/python/.venv

# Makes the environment, or makes it anew when the requirements or Python have changed.
prepare_python() {
  local requirements=tests/python/requirements.txt wanted
  wanted=$({ python3 --version && cat "$requirements"; } | sha256sum)
  # Two runs in one checkout share the environment: one of them makes it.
  exec 8>"$target_dir/tests-python.lock"
  flock 8
  if [ "$(cat "$venv/requirements.sha256" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$venv"
    if python3 -c 'import ensurepip' 2>/dev/null; then
      python3 -m venv "$venv"
      pip() { "$venv/bin/python" -m pip "$@"; }
    else
      python3 -m venv --without-pip "$venv"
      pip() { python3 -m pip --python "$venv/bin/python" "$@"; }
    fi
    pip install --quiet --disable-pip-version-check --requirement "$requirements"
    echo "$wanted" >"$venv/requirements.sha256"
  fi
  exec 8>&-
}
