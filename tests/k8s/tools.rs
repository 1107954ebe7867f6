//! The programs that render and validate manifests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use celeriac_tests::servers::{log_folder, variable};

/// Returns the folder of the checkout.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().to_owned()
}

/// Returns a new folder of this run for `name`.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(variable("CELERIAC_TEST_DIR")).join("k8s");
    let folder = folder.join(format!("{name}-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).unwrap();
    // What kustomize compares with must not be a link.
    folder.canonicalize().unwrap()
}

/// Keeps a report: it is printed at the end of the run.
pub(crate) fn report(name: &str, text: &str) {
    let folder = log_folder().join("k8s");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
}

/// Runs one of the tools that `./tests/run` has made ready.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(tool: &str, arguments: &[S]) -> Output {
    let folder = PathBuf::from(variable("CELERIAC_TEST_K8S_TOOLS")).join("bin");
    Command::new(folder.join(tool))
        .args(arguments)
        // What asks no server must not find one by accident, and must not call home.
        .env("KUBECONFIG", "/nonexistent")
        .env("BC_SKIP_MAPPING", "TRUE")
        .output()
        .unwrap_or_else(|error| panic!("{tool}: {error}"))
}

/// Returns standard output as text.
pub(crate) fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns standard error as text.
pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
