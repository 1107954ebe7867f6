//! What is refused at the start, as whoever reads the end of a log sees it. Guarantee S52.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use celeriac_tests::servers;
use serde_json::Value;
use tokio::process::Command;

/// A folder of the test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("refusals-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a command with this environment and nothing else of ours.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let ours = |name: &str| name.starts_with("CELERIAC_") || name.starts_with("CELERY_");
    let kept = std::env::vars().filter(|(name, _)| !ours(name));
    let run = Command::new(servers::binary_folder().join("celeriac"))
        .args(arguments)
        .env_clear()
        .envs(kept)
        .envs(environment.iter().copied())
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .unwrap_or_else(|_| panic!("{arguments:?} {environment:?} was started"))
        .unwrap()
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What is wrong: arguments, environment, the status, and words of the one line.
struct Case<'a> {
    arguments: Vec<&'a str>,
    environment: Vec<(&'a str, &'a str)>,
    status: i32,
    words: Vec<String>,
}

fn case<'a>(
    arguments: &[&'a str],
    environment: &[(&'a str, &'a str)],
    status: i32,
    words: &[&str],
) -> Case<'a> {
    Case {
        arguments: arguments.to_vec(),
        environment: environment.to_vec(),
        status,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
    }
}

// S52: one line, the last of the log, says what is wrong, and the status who must act.
#[tokio::test]
async fn what_is_refused_at_the_start_is_told_in_one_line() {
    let folder = Folder::new();
    let empty = folder.file("empty", "\n");
    let binary = folder.0.join("binary").to_str().unwrap().to_owned();
    std::fs::write(&binary, b"hush\xff\xfe").unwrap();
    let large = folder.file("large", &"h".repeat(70_000));
    let malformed = folder.file("malformed", "amqp//ann:hush@host");
    let wrong_scheme = folder.file("scheme", "mysql://ann:hush@host/\n");
    let short = folder.file("short", "hush");
    let settings = folder.file("celeriac.toml", "concurrency = 'many'\n");
    let misspelt = folder.file("misspelt.toml", "token = 'hush'\nconcurency = 4\n");
    let missing = folder.0.join("missing").to_str().unwrap().to_owned();
    let broker = |path: &'static str| ("CELERIAC_BROKER", path);
    let cases = [
        case(
            &["node"],
            &[
                ("CELERIAC_BROKRE", "amqp://h"),
                ("CELERIAC_LOG_LEVEL", "info"),
            ],
            78,
            &[
                "CELERIAC_BROKRE (did you mean CELERIAC_BROKER?)",
                "CELERIAC_LOG_LEVEL (did you mean CELERIAC_LOGLEVEL?)",
            ],
        ),
        case(
            &["node"],
            &[
                ("CELERIAC_TERMINATION_GRACE_PERIOD", "60"),
                ("CELERIAC_DRAIN_DEADLINE", "58s"),
            ],
            78,
            &[
                "drain_deadline (environment CELERIAC_DRAIN_DEADLINE)",
                "termination_grace_period (environment CELERIAC_TERMINATION_GRACE_PERIOD)",
                "at most 55s",
            ],
        ),
        case(
            &[
                "node",
                "--termination-grace-period",
                "60",
                "--drain-deadline",
                "58s",
            ],
            &[],
            64,
            &["at most 55s"],
        ),
        case(
            &["node"],
            &[("CELERIAC_BROKER_FILE", &missing)],
            78,
            &["CELERIAC_BROKER_FILE", &missing, "No such file"],
        ),
        case(
            &["node"],
            &[("CELERIAC_BROKER_FILE", &empty)],
            78,
            &["CELERIAC_BROKER_FILE", &empty, "found an empty file"],
        ),
        case(
            &["node"],
            &[("CELERIAC_BROKER_FILE", "")],
            78,
            &["CELERIAC_BROKER_FILE: expected the path of a file"],
        ),
        case(
            &["node"],
            &[("CELERIAC_BROKER_FILE", "/")],
            78,
            &["CELERIAC_BROKER_FILE", "expected a plain file"],
        ),
        case(
            &["node"],
            &[("CELERIAC_BROKER_FILE", &binary)],
            78,
            &["CELERIAC_BROKER_FILE", "expected UTF-8"],
        ),
        case(
            &["node"],
            &[("CELERIAC_BROKER_FILE", &large)],
            78,
            &["CELERIAC_BROKER_FILE", "expected 65536 bytes at most"],
        ),
        case(
            &["node"],
            &[("CELERIAC_BROKER_FILE", &malformed)],
            78,
            &["CELERIAC_BROKER_FILE", &malformed, "expected memory://"],
        ),
        case(
            &["node"],
            &[("CELERIAC_BROKER_FILE", &wrong_scheme)],
            78,
            &["CELERIAC_BROKER_FILE", "found something else"],
        ),
        case(
            &["node"],
            &[
                ("CELERIAC_BROKER_FILE", &short),
                broker("amqp://ann:hush@host/"),
            ],
            78,
            &["CELERIAC_BROKER_FILE", "CELERIAC_BROKER,", "found both"],
        ),
        case(
            &["supervisor"],
            &[("CELERIAC_TOKEN_FILE", &short)],
            78,
            &["setting token", "CELERIAC_TOKEN_FILE"],
        ),
        case(
            &["node"],
            &[("CELERIAC_CONCURRENCY", "many")],
            78,
            &["setting concurrency (environment CELERIAC_CONCURRENCY): expected a number"],
        ),
        case(
            &["node"],
            &[("CELERIAC_CONCURRENCY", "0")],
            78,
            &["setting concurrency (environment CELERIAC_CONCURRENCY): expected 1 to"],
        ),
        case(
            &["node", "--concurrency", "0"],
            &[("CELERIAC_STORE", "memory:")],
            64,
            &["setting concurrency (flag): expected 1 to"],
        ),
        case(
            &["node", "--config", &settings],
            &[],
            78,
            &["setting concurrency (file ", "expected a number"],
        ),
        case(
            &["node", "--config", &misspelt],
            &[],
            78,
            &["misspelt.toml: line 2", "concurency"],
        ),
        case(
            &["node", "--config", &missing],
            &[],
            64,
            &["settings file", &missing, "No such file"],
        ),
        case(
            &["node"],
            &[("CELERIAC_CONFIG", &missing)],
            78,
            &["settings file", &missing, "No such file"],
        ),
        case(
            &["node"],
            &[broker("amqp//ann:hush@host")],
            78,
            &["setting broker (environment CELERIAC_BROKER): expected memory://"],
        ),
        case(
            &["supervisor", "--store", "memory:"],
            &[("CELERIAC_LISTEN", "0.0.0.0:0")],
            78,
            &["setting listen (environment CELERIAC_LISTEN)", "a token"],
        ),
        case(
            &["node"],
            &[("CELERIAC_LOGLEVEL", "=loud=")],
            78,
            &["setting loglevel (environment CELERIAC_LOGLEVEL)"],
        ),
        case(
            &["node", "--concurency", "4"],
            &[],
            64,
            &["unexpected argument '--concurency'", "'--concurrency'"],
        ),
        case(&["nod"], &[], 64, &["unrecognized subcommand 'nod'"]),
        case(
            &["status", "--api", "ftp://ann:hush@host"],
            &[],
            64,
            &["--api: expected a URL", "found ftp://ann:**@host"],
        ),
        case(
            &["status"],
            &[("CELERIAC_API", "ann:hush@host")],
            78,
            &["environment CELERIAC_API: expected a URL"],
        ),
    ];
    for case in cases {
        for json in [false, true] {
            let mut environment = case.environment.clone();
            if json {
                environment.push(("CELERIAC_LOG_FORMAT", "json"));
            }
            let output = run(&case.arguments, &environment).await;
            let log = log(&output);
            let what = format!("{:?} {environment:?}: {log}", case.arguments);
            assert_eq!(output.status.code(), Some(case.status), "{what}");
            assert!(output.stdout.is_empty(), "{what}");
            assert_eq!(log.lines().count(), 1, "{what}");
            assert!(!log.contains("hush"), "{what}");
            let text = match json {
                false => log.trim().to_owned(),
                true => {
                    let line: Value = serde_json::from_str(&log).expect(&what);
                    assert_eq!(line["level"], "ERROR", "{what}");
                    assert_eq!(line["fields"]["exit_code"], case.status, "{what}");
                    line["fields"]["message"].as_str().unwrap().to_owned()
                }
            };
            for word in &case.words {
                assert!(text.contains(word), "{what} lacks {word}");
            }
        }
    }
}

// S52: a ConfigMap that nodes and supervisors share, beside a Service with our name.
#[tokio::test]
async fn settings_of_others_and_service_links_are_no_mistake() {
    let folder = Folder::new();
    let secret = folder.file("broker", "amqp://ann:hush@127.0.0.1:1/\n");
    let environment = [
        ("CELERIAC_BROKER_FILE", secret.as_str()),
        // The supervisor's; there is no such file beside a node, and it is not looked for.
        ("CELERIAC_TOKEN_FILE", "/no/such/token"),
        ("CELERIAC_LISTEN", "nonsense that a node does not read"),
        ("CELERIAC_SUPERVISOR_SERVICE_HOST", "10.96.0.7"),
        ("CELERIAC_SUPERVISOR_SERVICE_PORT", "9595"),
        ("CELERIAC_SUPERVISOR_SERVICE_PORT_HTTP", "9595"),
        ("CELERIAC_SUPERVISOR_PORT", "tcp://10.96.0.7:9595"),
        ("CELERIAC_SUPERVISOR_PORT_9595_TCP", "tcp://10.96.0.7:9595"),
        ("CELERIAC_SUPERVISOR_PORT_9595_TCP_ADDR", "10.96.0.7"),
        ("CELERIAC_SUPERVISOR_PORT_9595_TCP_PORT", "9595"),
        ("CELERIAC_SUPERVISOR_PORT_9595_TCP_PROTO", "tcp"),
        ("CELERIAC_LOGLEVEL", "debug"),
    ];
    // A node that has begun ends with 0 at a signal, whether or not its broker is there.
    let mut node = Command::new(servers::binary_folder().join("celeriac"))
        .args(["node", "--drain-deadline", "1s"])
        .envs(environment)
        .env_remove("CELERIAC_STORE")
        .current_dir(&folder.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(node.stderr.take().unwrap());
    let mut seen = String::new();
    let begun = async {
        use tokio::io::AsyncBufReadExt as _;
        while !seen.contains("127.0.0.1:1") {
            let count = lines.read_line(&mut seen).await.unwrap();
            assert!(count > 0, "the node ended: {seen}");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun)
        .await
        .unwrap_or_else(|_| panic!("no word of the broker"));
    assert!(
        seen.contains("CELERIAC_SUPERVISOR_SERVICE_HOST"),
        "it says what it ignored: {seen}"
    );
    assert!(!seen.contains("hush"), "{seen}");
    let pid = node.id().unwrap().to_string();
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    for bytes in [arguments, variables] {
        assert!(!String::from_utf8_lossy(&bytes).contains("hush"));
    }
    node.kill().await.unwrap();
}

// S52: secrets of every kind come from files, and are shown nowhere.
#[tokio::test]
async fn a_secret_from_a_file_is_used_and_not_shown() {
    let folder = Folder::new();
    // As the operator of RabbitMQ writes it, and as Kubernetes mounts it.
    std::fs::create_dir(folder.0.join("..data")).unwrap();
    folder.file("..data/broker", "amqp://ann:hush@rabbit.shop.svc:5672/\n");
    std::os::unix::fs::symlink("..data/broker", folder.0.join("broker")).unwrap();
    let broker = folder.0.join("broker").to_str().unwrap().to_owned();
    let token = folder.file("token", "hush-0123456789abcdef\n");
    let backend = folder.file("backend", "redis://:hush@redis:6379/0");
    let environment = [
        ("CELERIAC_BROKER_FILE", broker.as_str()),
        ("CELERIAC_TOKEN_FILE", token.as_str()),
        ("CELERIAC_RESULT_BACKEND_FILE", backend.as_str()),
    ];
    for arguments in [
        &["check"][..],
        &["check", "-j"],
        &["report"],
        &["report", "-j"],
    ] {
        let output = run(arguments, &environment).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}", log(&output));
        assert!(!text.contains("hush"), "{arguments:?}: {text}");
        // The report for programs has values alone.
        let source = format!("file {broker} of CELERIAC_BROKER_FILE");
        let told = text.contains(&source) || arguments == ["report", "-j"];
        assert!(told, "{arguments:?}: {text}");
    }
    let output = run(&["check"], &environment).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("amqp://ann:**@rabbit.shop.svc:5672/"),
        "{text}"
    );
    // A report of what is wrong does not fail by it.
    let wrong = [("CELERIAC_TOKEN_FILE", "/no/such/token")];
    assert!(run(&["report"], &wrong).await.status.success());
    assert_eq!(run(&["check"], &wrong).await.status.code(), Some(78));
}

// S52: what cannot be had now is another matter than what is wrong.
#[tokio::test]
async fn an_address_in_use_ends_with_69() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, variable) in [
        (&["node", "-b", "amqp://127.0.0.1:1"][..], "CELERIAC_HTTP"),
        (
            &[
                "supervisor",
                "-b",
                "amqp://127.0.0.1:1",
                "--store",
                "memory:",
            ],
            "CELERIAC_LISTEN",
        ),
    ] {
        let output = run(arguments, &[(variable, &address)]).await;
        let log = log(&output);
        assert_eq!(output.status.code(), Some(69), "{log}");
        let last = log.lines().last().unwrap_or_default();
        assert!(
            last.contains(&format!("cannot listen on {address}")),
            "{log}"
        );
    }
    let output = run(&["status", "--api", "http://127.0.0.1:1"], &[]).await;
    assert_eq!(output.status.code(), Some(69), "{}", log(&output));
}

// S52: the schema says what there is to set, whatever is set.
#[tokio::test]
async fn the_schema_is_printed_whatever_the_environment_says() {
    let wrong = [("CELERIAC_NONSENSE", "x"), ("CELERIAC_CONFIG", "/nowhere")];
    let output = run(&["check", "--print-schema"], &wrong).await;
    assert!(output.status.success(), "{}", log(&output));
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let settings = schema["commands"]["node"]["settings"].as_array().unwrap();
    let broker = settings.iter().find(|setting| setting["name"] == "broker");
    assert_eq!(broker.unwrap()["environment"], "CELERIAC_BROKER");
    assert!(schema["exit_codes"]["64"].is_string());
}
