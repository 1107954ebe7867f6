//! `celeriac report`: what to put into a bug report.

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::output::Output;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, output: Output) -> Result<(), Error> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    let kernel = kernel.as_deref().map_or("unknown", str::trim);
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let set: Vec<_> = settings
        .table()
        .into_iter()
        .filter_map(|(name, value, source)| Some((name, value?, source.to_string())))
        .collect();
    let software = format!("celeriac:{}", env!("CARGO_PKG_VERSION"));
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    let values = set
        .iter()
        .map(|(name, value, _)| (name.clone(), Value::from(value.as_str())));
    let report = json!({
        "software": software,
        "system": system,
        "architecture": architecture,
        "kernel": kernel,
        "cpus": cpus,
        "settings": values.collect::<Map<_, _>>(),
    });
    output.show(&report, || {
        let mut text = format!(
            "\nsoftware -> {software}\nplatform -> system:{system} arch:{architecture}\n            \
             kernel version:{kernel} cpus:{cpus}\nsettings ->\n"
        );
        for (name, value, source) in &set {
            text.push_str(&format!("\n{name}: {value:?} ({source})"));
        }
        if set.is_empty() {
            text.push_str("\nnothing is set; every setting has its default");
        }
        text
    });
    Ok(())
}
