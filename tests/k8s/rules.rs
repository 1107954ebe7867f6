//! Alert rules, by promtool: they parse, and they fire when they should.

mod cases;

use serde_json::{Value, json};

use crate::finding::{Finding, Findings, assert_none};
use crate::kinds::prometheus::PrometheusRule;
use crate::manifests::Manifests;
use crate::renderings;
use crate::tools::{complaint, printed, root, run, scratch};
use cases::CASES;

/// Where the alerts are.
const FILE: &str = "k8s/components/monitoring/rules.yaml";

/// Returns the groups of rules of a rendering, as a file of rules has them.
fn groups(manifests: &Manifests) -> Vec<(String, Value)> {
    let rules = manifests.all::<PrometheusRule>();
    let rules = rules.map(|(document, _)| (document.title.clone(), document.value["spec"].clone()));
    rules.collect()
}

/// Returns what promtool says against rules, which is nothing when they are good.
fn complaints(rules: &Value) -> Option<String> {
    let folder = scratch("rules");
    let file = folder.join("rules.yaml");
    std::fs::write(&file, rules.to_string()).unwrap();
    let output = run(
        "promtool",
        &["check", "rules", "--lint=all", file.to_str().unwrap()],
    );
    let said = format!("{}{}", printed(&output), complaint(&output));
    (!output.status.success()).then_some(said)
}

/// Returns what promtool says against the rules of a rendering.
pub(crate) fn refused(manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Findings::new("promtool");
    for (title, rules) in groups(manifests) {
        if let Some(said) = complaints(&rules) {
            findings.add(&title, "spec.groups", said.trim(), "what promtool takes");
        }
    }
    findings.done()
}

/// The rules that the guide of monitoring names too.
fn alerts() -> Value {
    let text = std::fs::read_to_string(root().join(FILE)).unwrap();
    let object: Value = serde_saphyr::from_str(&text).unwrap();
    object["spec"].clone()
}

#[test]
fn prometheus_takes_the_rules() {
    let distinct = renderings::distinct().into_iter();
    let found: Vec<_> = distinct
        .filter(|(_, document)| document.get::<PrometheusRule>().is_some())
        .map(|(place, document)| (place, Manifests::new(vec![document.value.clone()])))
        .collect();
    assert!(
        !found.is_empty(),
        "expected rules in a rendering, found none"
    );
    let found = found.iter().flat_map(|(place, manifests)| {
        let found = refused(manifests).into_iter();
        found.map(|finding| ((*place).to_owned(), finding))
    });
    assert_none(found.collect(), "rules that promtool refuses");
}

/// Runs `promtool test rules` over the alerts, without their texts.
fn test_rules(tests: &Value) -> Result<(), String> {
    let folder = scratch("rule-tests");
    let write = |name: &str, value: &Value| {
        let file = folder.join(name);
        std::fs::write(&file, value.to_string()).unwrap();
        file
    };
    let mut rules = alerts();
    for rule in rules_of(&mut rules) {
        // A firing alert is compared with its texts, which would be here a second time.
        rule.as_object_mut().unwrap().remove("annotations");
    }
    write("rules.yaml", &rules);
    let file = write(
        "tests.yaml",
        &json!({ "rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests }),
    );
    let output = run("promtool", &["test", "rules", file.to_str().unwrap()]);
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}{}", printed(&output), complaint(&output))),
    }
}

fn rules_of(rules: &mut Value) -> impl Iterator<Item = &mut Value> {
    let groups = rules["groups"].as_array_mut().into_iter().flatten();
    groups.flat_map(|group| group["rules"].as_array_mut().into_iter().flatten())
}

#[test]
fn every_alert_fires_when_it_should_and_not_before() {
    let mut rules = alerts();
    for rule in rules_of(&mut rules) {
        let alert = rule["alert"].as_str().unwrap();
        let case = CASES.iter().find(|case| case.alert == alert);
        let case = case.unwrap_or_else(|| panic!("expected a case for {alert} in rules/cases.rs"));
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert_eq!(test_rules(&case.tests(severity)), Ok(()), "{alert}");
    }
    assert_eq!(
        rules_of(&mut rules).count(),
        CASES.len(),
        "a case without its alert"
    );
}

#[test]
fn an_alert_that_does_not_fire_is_noticed() {
    let case = &CASES[0];
    let mut tests = case.tests("critical");
    tests[0]["alert_rule_test"][0]["eval_time"] = json!("0m");
    assert!(test_rules(&tests).is_err());
}
