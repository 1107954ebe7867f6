//! The name of this machine.

/// Returns the machine's name, as node names end in it; `localhost` when it has none.
pub fn name() -> String {
    // The kernel's own answer first: HOSTNAME is a shell variable that few export.
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
