# The virtual environments of the Python tests. Sourced by tests/run.
# shellcheck shell=bash disable=SC2154

venv=tests/python/.venv
suite=$target_dir/celery-suite

prepare_python() { make_venv "$venv" tests/python/requirements.txt; }

# Celery's integration suite: an environment of its own, and the source distribution.
prepare_suite() {
  local wanted source=tests/celery-suite/source.txt
  mkdir -p "$suite"
  make_venv "$suite/venv" tests/celery-suite/requirements.txt
  wanted=$(sha256sum <"$source")
  exec 8>"$target_dir/tests-python.lock"
  flock 8
  if [ "$(cat "$suite/source.sha256" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$suite/download" "$suite/source"
    pip_of "$suite/venv" download --quiet --no-deps --no-binary :all: --require-hashes \
      --dest "$suite/download" --requirement "$source"
    mkdir "$suite/source"
    tar -xzf "$suite"/download/*.tar.gz -C "$suite/source" --strip-components 1
    echo "$wanted" >"$suite/source.sha256"
  fi
  exec 8>&-
}

# make_venv FOLDER REQUIREMENTS: makes the environment, or makes it anew when the
# requirements or Python have changed.
make_venv() {
  local folder=$1 requirements=$2 wanted
  wanted=$({ python3 --version && cat "$requirements"; } | sha256sum)
  # Two runs in one checkout share the environment: one of them makes it.
  exec 8>"$target_dir/tests-python.lock"
  flock 8
  if [ "$(cat "$folder/requirements.sha256" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$folder"
    if python3 -c 'import ensurepip' 2>/dev/null; then
      python3 -m venv "$folder"
    else
      python3 -m venv --without-pip "$folder"
    fi
    pip_of "$folder" install --quiet --requirement "$requirements"
    echo "$wanted" >"$folder/requirements.sha256"
  fi
  exec 8>&-
}

# pip_of FOLDER ARGUMENT...: pip for an environment, which may have none of its own.
pip_of() {
  local python=$1/bin/python
  shift
  if "$python" -c 'import pip' 2>/dev/null; then
    "$python" -m pip --disable-pip-version-check "$@"
  else
    python3 -m pip --disable-pip-version-check --python "$python" "$@"
  fi
}
