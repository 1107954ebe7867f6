//! `celeriac check`: prints the effective settings and checks them.

use std::path::Path;

use crate::error::Error;
use crate::output::{columns, print};
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, file: Option<&Path>) -> Result<(), Error> {
    let heading = ["SETTING", "VALUE", "FROM"].map(str::to_owned).to_vec();
    let rows = settings.table().into_iter().map(|(name, value, source)| {
        vec![
            name,
            value.unwrap_or_else(|| "-".to_owned()),
            source.to_string(),
        ]
    });
    print(&columns(
        &std::iter::once(heading).chain(rows).collect::<Vec<_>>(),
    ));
    print(&match file {
        Some(path) => format!("\nsettings file: {}", path.display()),
        None => "\nno settings file".to_owned(),
    });
    super::node::config(settings)?;
    super::supervisor::config(settings)?;
    crate::tasks::check(settings)?;
    super::check_urls(settings)?;
    print("settings are sound");
    Ok(())
}
