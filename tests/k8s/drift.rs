//! Manifests against the binary: commands, flags, variables, values, ports and paths.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::checks::{environment, keda_paths, monitored_paths, texts};
use crate::finding::{Finding, Findings, assert_none};
use crate::manifests::Manifests;
use crate::renderings;
use crate::schema::{Described, Schema, binary, schema};
use crate::tools::scratch;

/// A process of ours, as a manifest or a compose file starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) title: String,
    /// The command and its flags.
    pub(crate) args: Vec<String>,
    pub(crate) variables: BTreeMap<String, String>,
    /// Variables of a ConfigMap that processes share: another command may read them.
    pub(crate) shared: BTreeMap<String, String>,
    /// The files of ConfigMaps that it sees.
    pub(crate) files: BTreeMap<String, String>,
    /// The ports that it says it has.
    pub(crate) ports: Vec<i32>,
    /// Who asks it over HTTP: field, port and path.
    pub(crate) asked: Vec<(String, i32, String)>,
    /// What is run in its container: field and command line.
    pub(crate) run: Vec<(String, Vec<String>)>,
}

/// Returns what does not fit the binary.
pub(crate) fn check(manifests: &Manifests, schema: &Schema) -> Vec<Finding> {
    let mut findings = Findings::new("drift");
    for process in processes(manifests) {
        compare(&process, schema, &mut findings);
    }
    let supervisor = schema.command("supervisor").unwrap();
    for (title, field, path) in keda_paths(manifests) {
        if !serves(supervisor, &path) {
            findings.add(&title, field, path, "a path that the supervisor serves");
        }
    }
    findings.done()
}

fn serves(command: &Described, path: &str) -> bool {
    let mut paths = command
        .listeners
        .iter()
        .flat_map(|listener| &listener.paths);
    paths.any(|known| known == path)
}

/// Returns our processes: those with variables of ours.
pub(crate) fn processes(manifests: &Manifests) -> Vec<Process> {
    let mut found = Vec::new();
    for workload in manifests.workloads() {
        for (at, container) in workload.containers() {
            let all = environment::of(manifests, &workload, container);
            if !all.keys().any(|name| name.starts_with("CELERIAC_")) {
                continue;
            }
            let own = container.env.iter().flatten();
            let own: Vec<_> = own.map(|variable| variable.name.clone()).collect();
            let (variables, shared) = all.into_iter().partition(|(name, _)| own.contains(name));
            let ports = container.ports.iter().flatten();
            let mut args = container.command.clone().unwrap_or_default();
            args.extend(container.args.clone().unwrap_or_default());
            let mut asked = asked(&at, container);
            asked.extend(monitored_paths(manifests, workload.title()));
            found.push(Process {
                title: workload.title().to_owned(),
                args,
                variables,
                shared,
                files: texts(manifests, &workload, container),
                ports: ports.map(|port| port.container_port).collect(),
                asked,
                run: executed(&at, container),
            });
        }
    }
    found
}

fn probes(container: &Container) -> Vec<(&'static str, &Probe)> {
    let probes = [
        ("startupProbe", &container.startup_probe),
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
    ];
    let there = probes.into_iter();
    there
        .filter_map(|(name, probe)| Some((name, probe.as_ref()?)))
        .collect()
}

fn asked(at: &str, container: &Container) -> Vec<(String, i32, String)> {
    let probes = probes(container).into_iter();
    let asked = probes.filter_map(|(name, probe)| {
        let get = probe.http_get.as_ref()?;
        let port = match &get.port {
            IntOrString::Int(number) => *number,
            IntOrString::String(name) => {
                let mut ports = container.ports.iter().flatten();
                ports
                    .find(|port| port.name.as_ref() == Some(name))?
                    .container_port
            }
        };
        let path = get.path.clone().unwrap_or_else(|| "/".to_owned());
        Some((format!("{at}.{name}"), port, path))
    });
    asked.collect()
}

fn executed(at: &str, container: &Container) -> Vec<(String, Vec<String>)> {
    let of_probes = probes(container).into_iter();
    let of_probes = of_probes.filter_map(|(name, probe)| Some((name, probe.exec.as_ref()?)));
    let hooks = container.lifecycle.iter();
    let of_hooks = hooks.filter_map(|hooks| hooks.pre_stop.as_ref()?.exec.as_ref());
    let all = of_probes.chain(of_hooks.map(|exec| ("lifecycle.preStop", exec)));
    all.map(|(name, exec)| {
        let line = exec.command.clone().unwrap_or_default();
        (format!("{at}.{name}"), line)
    })
    .collect()
}

/// Compares one process.
pub(crate) fn compare(process: &Process, schema: &Schema, findings: &mut Findings) {
    let title = &process.title;
    let Some(command) = command_line(title, "args", &process.args, schema, findings) else {
        return;
    };
    for variable in process.variables.keys() {
        if variable.starts_with("CELERIAC_") && command.by_variable(variable).is_none() {
            let expected = format!("a variable of `celeriac {}`", process.args.join(" "));
            findings.add(title, format!("env[{variable}]"), "a variable", expected);
        }
    }
    for variable in process.shared.keys() {
        let mut all = schema.commands.values();
        if variable.starts_with("CELERIAC_") && all.all(|one| one.by_variable(variable).is_none()) {
            let expected = "a variable of a command";
            findings.add(title, format!("env[{variable}]"), "a variable", expected);
        }
    }
    let listens = listens(process, command);
    for port in &process.ports {
        if !listens.iter().any(|(_, listened)| listened == port) {
            let expected = format!("one of those that settings name: {listens:?}");
            findings.add(title, "ports", port.to_string(), expected);
        }
    }
    for (field, port, path) in &process.asked {
        let there = listens.iter().any(|(setting, listened)| {
            let mut listeners = command.listeners.iter();
            listened == port
                && listeners.any(|one| one.setting == *setting && one.paths.contains(path))
        });
        if !there {
            let expected = "a path that is served at that port";
            findings.add(title, field, format!("port {port}, path {path}"), expected);
        }
    }
    for (field, line) in &process.run {
        // The image has one program and no shell.
        if line.first().map(String::as_str) == Some("/celeriac") {
            command_line(title, field, &line[1..], schema, findings);
        } else {
            findings.add(
                title,
                field,
                line.join(" "),
                "/celeriac and a command of it",
            );
        }
    }
}

/// Returns the command of a line, and notes flags that it does not have.
fn command_line<'a>(
    title: &str,
    field: &str,
    line: &[String],
    schema: &'a Schema,
    findings: &mut Findings,
) -> Option<&'a Described> {
    let words: Vec<&str> = line.iter().map(String::as_str).collect();
    let words = words.strip_prefix(&["/celeriac"]).unwrap_or(&words);
    let two = words
        .get(..2)
        .and_then(|two| schema.command(&two.join(" ")));
    let one = words.first().and_then(|one| schema.command(one));
    let Some(command) = two.or(one) else {
        findings.add(title, field, line.join(" "), "a command of celeriac");
        return None;
    };
    for word in words.iter().filter(|word| word.starts_with("--")) {
        let flag = word.split('=').next().unwrap_or_default();
        if command.by_flag(flag).is_none() {
            let expected = format!("a flag of `celeriac {}`", words[0]);
            findings.add(title, field, flag, expected);
        }
    }
    Some(command)
}

/// Returns the settings that are addresses, with the ports that the process gives them.
fn listens(process: &Process, command: &Described) -> Vec<(String, i32)> {
    let addresses = command.settings.iter().filter(|one| one.kind == "address");
    let given = addresses.filter_map(|setting| {
        let by_flag = process.args.windows(2).find(|pair| pair[0] == setting.flag);
        let by_flag = by_flag.map(|pair| pair[1].as_str());
        let name = setting.environment.as_deref().unwrap_or_default();
        let by_variable = process
            .variables
            .get(name)
            .or_else(|| process.shared.get(name));
        let value = by_flag.or_else(|| by_variable.map(String::as_str))?;
        let port = value.rsplit(':').next()?.parse().ok()?;
        Some((setting.name.clone(), port))
    });
    given.collect()
}

/// Returns what the binary itself says of the settings of a process.
fn complaint(process: &Process) -> Option<String> {
    let folder = scratch("settings");
    let mut command = binary();
    command.arg("check").current_dir(&folder);
    for (name, value) in process.shared.iter().chain(&process.variables) {
        if let Some(text) = process.files.get(value) {
            let file = folder.join(value.replace('/', "_"));
            std::fs::write(&file, with_secrets(text, &folder)).unwrap();
            command.env(name, file);
            continue;
        }
        let ours = name.starts_with("CELERIAC_");
        let Some(of) = name.strip_suffix("_FILE").filter(|_| ours) else {
            command.env(name, value);
            continue;
        };
        // What a Secret of somebody else may hold.
        let secret = match of {
            "CELERIAC_BROKER" => "amqp://user:word@broker:5672/",
            "CELERIAC_RESULT_BACKEND" => "redis://store:6379/0",
            "CELERIAC_MANAGEMENT_URL" => "http://user:word@broker:15672",
            "CELERIAC_STORE" => "memory:",
            _ => "a-long-enough-secret",
        };
        let file = folder.join(of);
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        command.env(name, file);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    (!output.status.success()).then(|| format!("{}: {said}", output.status))
}

/// Where Secrets are mounted.
const SECRETS: &str = "/run/secrets/celeriac/";

/// Makes the secrets that a settings file names, and returns it with their new places.
fn with_secrets(text: &str, folder: &Path) -> String {
    for rest in text.split(SECRETS).skip(1) {
        let end = rest.find(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        let name = &rest[..end.unwrap_or(rest.len())];
        std::fs::write(folder.join(name), "a-long-enough-secret\n").unwrap();
    }
    text.replace(SECRETS, &format!("{}/", folder.display()))
}

/// Returns what the binary says against the settings of processes.
pub(crate) fn refused(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("settings");
    for process in processes(manifests) {
        if let Some(said) = complaint(&process) {
            findings.add(&process.title, "env", said, "what `celeriac check` takes");
        }
    }
    findings.done()
}

#[test]
fn the_binary_knows_what_manifests_tell_it() {
    let found = renderings::all().iter().flat_map(|rendering| {
        let found = check(&rendering.manifests, schema()).into_iter();
        found.map(|finding| (rendering.name.clone(), finding))
    });
    assert_none(found.collect(), "manifests that the binary does not fit");
}

#[test]
fn the_binary_takes_the_values_that_manifests_give() {
    // Most renderings have the same processes.
    let mut all: Vec<(&str, Process)> = Vec::new();
    for rendering in renderings::all() {
        for process in processes(&rendering.manifests) {
            let asked = |known: &Process| {
                let settings = (&known.variables, &known.shared, &known.files);
                settings == (&process.variables, &process.shared, &process.files)
            };
            if !all.iter().any(|(_, known)| asked(known)) {
                all.push((&rendering.name, process));
            }
        }
    }
    let found = all.iter().filter_map(|(place, process)| {
        let mut findings = Findings::new("settings");
        let said = complaint(process)?;
        findings.add(&process.title, "env", said, "what `celeriac check` takes");
        Some(((*place).to_owned(), findings.done().remove(0)))
    });
    assert_none(found.collect(), "settings that the binary refuses");
}

#[test]
fn the_binary_refuses_a_value_that_is_none() {
    let mut all = processes(&renderings::get("overlays/dev").manifests);
    let process = &mut all[0];
    let name = "CELERIAC_LOG_FORMAT".to_owned();
    process.variables.insert(name, "xml".to_owned());
    let said = complaint(process).unwrap_or_default();
    assert!(said.contains("xml"), "{said}");
}
