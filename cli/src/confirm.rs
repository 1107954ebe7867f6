//! Questions before what cannot be undone.

use std::io::{IsTerminal as _, Write as _};

use crate::error::Error;

/// Asks a person; a script must give the flag.
pub(crate) fn confirm(question: &str, flag: &str) -> Result<(), Error> {
    if !std::io::stdin().is_terminal() {
        let text = format!("{question} say {flag} to do so without a terminal");
        return Err(Error::Usage(text));
    }
    eprint!("{question} (yes/no) ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    match std::io::stdin().read_line(&mut answer) {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        _ => Err(Error::Failed("nothing was changed".to_owned())),
    }
}
