//! The schema as a page for people: docs/configuration.md.

use std::fmt::Write as _;

use super::{Schema, Setting};

/// What the page says before the tables.
const HEAD: &str = include_str!("head.md");

/// The commands whose settings the page has: what runs on.
const COMMANDS: [&str; 4] = ["node", "supervisor", "beat", "up"];

impl Schema {
    /// Writes the page.
    pub(crate) fn markdown(&self) -> String {
        let mut page = HEAD.to_owned();
        page.push_str("\n## Exit codes\n\n| code | means |\n|---|---|\n");
        for (number, meaning) in &self.exit_codes {
            row(&mut page, &[&number.to_string(), meaning]);
        }
        for group in self.groups() {
            let _ = write!(
                page,
                "\n## {group}\n\n\
                 | key | flag | variable | kind | default | read by | what it is |\n\
                 |---|---|---|---|---|---|---|\n"
            );
            for setting in self.settings().filter(|setting| setting.group == group) {
                self.write(&mut page, setting);
            }
        }
        page
    }

    /// The settings of what runs on, in the order of their names, each once.
    fn settings(&self) -> impl Iterator<Item = &Setting> {
        let described = COMMANDS.iter().filter_map(|name| self.commands.get(*name));
        let settings = described.flat_map(|command| &command.settings);
        let settings = settings.filter(|setting| setting.key.is_some());
        let by_name = settings.map(|setting| (setting.name.as_str(), setting));
        by_name
            .collect::<std::collections::BTreeMap<_, _>>()
            .into_values()
    }

    /// The groups, in the order of their names.
    fn groups(&self) -> std::collections::BTreeSet<&str> {
        self.settings()
            .map(|setting| setting.group.as_str())
            .collect()
    }

    fn write(&self, page: &mut String, setting: &Setting) {
        let short = setting.short.map(|short| format!(", `-{short}`"));
        let flag = format!("`{}`{}", setting.flag, short.unwrap_or_default());
        let variable = setting.environment.as_deref().unwrap_or_default();
        let variable = match setting.file_environment {
            Some(_) => format!("`{variable}`, `..._FILE`"),
            None => format!("`{variable}`"),
        };
        let kind = match &setting.values {
            Some(values) => values.join(", "),
            None => setting.kind.to_owned(),
        };
        let readers = COMMANDS.iter().filter(|name| {
            let command = self.commands.get(**name);
            let mut settings = command.into_iter().flat_map(|command| &command.settings);
            settings.any(|other| other.name == setting.name)
        });
        let readers: Vec<_> = readers.copied().collect();
        let readers = match readers.len() == COMMANDS.len() {
            true => "all".to_owned(),
            false => readers.join(", "),
        };
        let default = setting.default.as_deref().unwrap_or("none");
        let key = format!("`{}`", setting.name);
        row(
            page,
            &[
                &key,
                &flag,
                &variable,
                &kind,
                default,
                &readers,
                &setting.help,
            ],
        );
    }
}

/// Writes a row; what would end a cell does not, and what would be a tag is shown.
fn row(page: &mut String, cells: &[&str]) {
    for cell in cells {
        let cell = cell.replace('|', "\\|").replace('<', "&lt;");
        let _ = write!(page, "| {cell} ");
    }
    page.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    // S52: what the guide says of settings is what the program knows.
    #[test]
    fn the_guide_is_what_the_program_prints() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let page = Schema::new().markdown();
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == page,
            "expected docs/configuration.md as `celeriac check --print-schema --format markdown` \
             prints it; write it anew with `just configuration`"
        );
    }
}
