//! What children print, as lines of the node's log.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// A longer line is told in parts.
const MAX_LINE: usize = 8 << 10;

/// Which task a child runs, or ran last.
#[derive(Clone, Default)]
pub(super) struct Label(Arc<Mutex<(String, String)>>);

impl Label {
    pub(super) fn set(&self, id: &str, task: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (id.to_owned(), task.to_owned());
    }

    fn get(&self) -> (String, String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Logs what comes until the other side closes it.
pub(super) async fn log(
    from: impl AsyncRead + Unpin,
    stream: &'static str,
    pid: u32,
    label: Label,
) {
    let mut from = BufReader::with_capacity(MAX_LINE, from);
    let mut line = Vec::new();
    loop {
        let (taken, whole) = match from.fill_buf().await {
            Ok([]) | Err(_) => break,
            Ok(bytes) => take(&mut line, bytes),
        };
        from.consume(taken);
        if whole {
            tell(&line, stream, pid, &label);
            line.clear();
        }
    }
    if !line.is_empty() {
        tell(&line, stream, pid, &label);
    }
}

/// Moves bytes to a line; returns how many, and whether the line is to be told.
fn take(line: &mut Vec<u8>, bytes: &[u8]) -> (usize, bool) {
    let room = MAX_LINE - line.len().min(MAX_LINE);
    let end = bytes.iter().position(|byte| *byte == b'\n');
    match end {
        Some(end) if end <= room => {
            line.extend_from_slice(&bytes[..end]);
            (end + 1, true)
        }
        _ => {
            let taken = bytes.len().min(room);
            line.extend_from_slice(&bytes[..taken]);
            (taken, line.len() >= MAX_LINE)
        }
    }
}

fn tell(line: &[u8], stream: &str, pid: u32, label: &Label) {
    let (task_id, task) = label.get();
    let line = String::from_utf8_lossy(line);
    tracing::info!(target: "celeriac::isolated", task_id, task, pid, stream, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_bounded() {
        let mut line = Vec::new();
        assert_eq!(take(&mut line, b"ab"), (2, false));
        assert_eq!(take(&mut line, b"c\nd"), (2, true));
        assert_eq!(line, b"abc");
        line.clear();
        let long = vec![b'x'; MAX_LINE + 5];
        assert_eq!(take(&mut line, &long), (MAX_LINE, true));
        line.clear();
        assert_eq!(take(&mut line, &long[MAX_LINE..]), (5, false));
        assert_eq!(take(&mut line, b"\n"), (1, true));
        assert_eq!(line, b"xxxxx");
    }
}
