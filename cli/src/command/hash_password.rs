//! `celeriac hash-password`: prints the hash of a password for `[[user]]`.

use std::io::{self, IsTerminal as _, Read as _};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal;
use serde_json::json;

use crate::error::Error;
use crate::output::Output;

/// The longest password, in bytes, and some for the end of its line.
const LONGEST: u64 = 1_100;

pub(crate) fn run(output: Output) -> Result<(), Error> {
    let failed = |error: io::Error| Error::Failed(format!("the password cannot be read: {error}"));
    let password = if io::stdin().is_terminal() {
        let first = ask("Password: ").map_err(failed)?;
        if first != ask("Again: ").map_err(failed)? {
            return Err(Error::Usage(
                "expected the same password twice, found two".to_owned(),
            ));
        }
        first
    } else {
        let mut text = String::new();
        let stdin = io::stdin().take(LONGEST);
        let mut stdin = stdin;
        stdin.read_to_string(&mut text).map_err(failed)?;
        text.trim_end_matches(['\n', '\r']).to_owned()
    };
    let hash = celeriac_supervisor::hash_password(&password)
        .map_err(|error| Error::Usage(format!("password: {error}")))?;
    output.show(&json!({ "password_hash": hash }), || hash.clone());
    Ok(())
}

/// Gives a terminal its echo back, however reading ends.
struct Quiet;

impl Quiet {
    fn new() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        Ok(Self)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing helps a terminal that is gone.
        let _ = terminal::disable_raw_mode();
        eprintln!();
    }
}

/// Asks on the terminal, without showing what is typed.
fn ask(prompt: &str) -> io::Result<String> {
    eprint!("{prompt}");
    let _quiet = Quiet::new()?;
    let mut typed = String::new();
    loop {
        let Event::Key(key) = event::read()? else {
            continue;
        };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Enter => return Ok(typed),
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "given up"));
            }
            KeyCode::Char(c) => typed.push(c),
            KeyCode::Backspace => drop(typed.pop()),
            _ => {}
        }
    }
}
