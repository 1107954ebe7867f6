//! The terminal: drawn on, read from, and always given back.

use std::io::{IsTerminal as _, Stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use tokio::sync::mpsc;

use super::screen::Screen;
use super::view;
use crate::error::Error;

/// The terminal in raw mode; dropping it gives it back as it was.
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
    colors: bool,
    ended: Arc<AtomicBool>,
}

/// How long the reader of keys waits before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

impl Terminal {
    /// Takes the terminal; the keys that are pressed come out of the receiver.
    pub(super) fn open() -> Result<(Self, mpsc::Receiver<KeyEvent>), Error> {
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            let text = "top: expected a terminal, found none; --once prints one picture";
            return Err(Error::Usage(text.to_owned()));
        }
        enable_raw_mode().map_err(failed)?;
        let ended = Arc::new(AtomicBool::new(false));
        let open = || {
            execute!(std::io::stdout(), EnterAlternateScreen)?;
            ratatui::Terminal::new(CrosstermBackend::new(std::io::stdout()))
        };
        let inner = match open() {
            Ok(inner) => inner,
            Err(error) => {
                let _ = disable_raw_mode();
                return Err(failed(error));
            }
        };
        let colors = std::env::var_os("NO_COLOR").is_none_or(|said| said.is_empty());
        let terminal = Self {
            inner,
            colors,
            ended: Arc::clone(&ended),
        };
        let (tell, keys) = mpsc::channel(64);
        std::thread::Builder::new()
            .name("celeriac-keys".to_owned())
            .spawn(move || read(&ended, &tell))
            .map_err(failed)?;
        Ok((terminal, keys))
    }

    pub(super) fn draw(&mut self, screen: &Screen) -> Result<(), Error> {
        let colors = self.colors;
        let drawn = self.inner.draw(|frame| view::draw(frame, screen, colors));
        drawn.map(drop).map_err(failed)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // A terminal that is gone needs nothing back.
        let _ = disable_raw_mode();
        let _ = execute!(std::io::stdout(), LeaveAlternateScreen);
        let _ = self.inner.show_cursor();
    }
}

/// Reads keys until nobody wants them; a change of size is told as no key at all, so that
/// the next tick draws anew.
fn read(ended: &AtomicBool, tell: &mpsc::Sender<KeyEvent>) {
    while !ended.load(Ordering::Relaxed) {
        match event::poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(_) => return,
        }
        let Ok(event) = event::read() else { return };
        if let Event::Key(key) = event
            && key.kind != KeyEventKind::Release
            && tell.blocking_send(key).is_err()
        {
            return;
        }
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::Failed(format!("the terminal cannot be used: {error}"))
}
