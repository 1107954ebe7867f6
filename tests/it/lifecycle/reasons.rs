//! Why a process ended, in the last line of its log.

use std::net::TcpListener;
use std::time::Duration;

use celeriac_tests::program::Program;
use celeriac_tests::servers;

use super::{last_line, unique};

async fn ends(binary: &str, words: &[&str]) -> (i32, String) {
    let mut program = Program::start(binary, &unique("reason"), words);
    let status = program.ended(Duration::from_secs(30)).await;
    (status, program.log())
}

/// S51: whatever keeps a process from starting, or ends it, is the last line of its log, as
/// text and as JSON.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_line_says_why() {
    let amqp = servers::amqp_url();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let short = ["--termination-grace-period", "10", "--drain-deadline", "9"];
    let grace = "which leaves 2s of the termination_grace_period of 10s";
    for (binary, command, more, reason, refused) in [
        (
            "demo-node",
            "node",
            &["--http", &taken][..],
            "Address already in use",
            false,
        ),
        (
            "celeriac",
            "supervisor",
            &["--store", "memory:", "--listen", &taken],
            "Address already in use",
            false,
        ),
        ("demo-node", "node", &short, grace, true),
        (
            "demo-node",
            "node",
            &["-n", "panic@start"],
            "the program panicked: asked to",
            false,
        ),
        (
            "celeriac",
            "supervisor",
            &["--store", "sqlite:/dev/null/all.db"],
            "/dev/null/all.db",
            false,
        ),
    ] {
        for format in ["text", "json"] {
            let words = [&[command, "-b", &amqp, "--log-format", format], more].concat();
            let (status, log) = ends(binary, &words).await;
            assert_ne!(status, 0, "{words:?}: {log}");
            if refused {
                assert!([64, 78].contains(&status), "{status}: {log}");
            }
            let last = last_line(&log);
            assert!(last.contains(reason), "{words:?}: {log}");
            if format == "json" {
                let line: serde_json::Value = serde_json::from_str(last).unwrap();
                assert_eq!(line["level"], "ERROR", "{log}");
            }
        }
    }
}
