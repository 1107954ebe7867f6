//! Which role each route takes: the one table.

use super::Role;

/// What a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The least role; `None` for everybody.
    pub(crate) role: Option<Role>,
    /// What the audit log calls it, where no handler says it better.
    pub(crate) action: &'static str,
}

/// Every route that changes something, and each that is not for every viewer.
///
/// What is not here takes a viewer to look and an admin to change; a test holds the table
/// against the router, so that the latter never happens.
const RULES: &[(&str, &str, Option<Role>, &str)] = &[
    // They say nothing worth hiding, and kubelets have no token.
    ("GET", "/livez", None, ""),
    ("GET", "/readyz", None, ""),
    ("GET", "/startupz", None, ""),
    ("GET", "/healthcheck", None, ""),
    ("GET", "/api/v1/audit", ADMIN, ""),
    ("POST", "/api/v1/tasks", OPERATOR, "task.send"),
    ("POST", "/api/v1/tasks/batch", OPERATOR, "task.send"),
    ("POST", "/api/v1/tasks/revoke", OPERATOR, "task.revoke"),
    ("POST", "/api/v1/tasks/{id}/revoke", OPERATOR, "task.revoke"),
    ("POST", "/api/v1/tasks/{id}/replay", OPERATOR, "task.replay"),
    (
        "POST",
        "/api/v1/nodes/{name}/control",
        OPERATOR,
        "node.control",
    ),
    ("POST", "/api/v1/nodes/{name}/drain", OPERATOR, "node.drain"),
    (
        "POST",
        "/api/v1/nodes/{name}/shutdown",
        ADMIN,
        "node.shutdown",
    ),
    (
        "POST",
        "/api/v1/queues/{name}/pause",
        OPERATOR,
        "queue.pause",
    ),
    (
        "POST",
        "/api/v1/queues/{name}/resume",
        OPERATOR,
        "queue.resume",
    ),
    ("POST", "/api/v1/queues/{name}/purge", ADMIN, "queue.purge"),
    ("POST", "/api/v1/schedules", ADMIN, "schedule.create"),
    ("PUT", "/api/v1/schedules/{name}", ADMIN, "schedule.replace"),
    ("PATCH", "/api/v1/schedules/{name}", ADMIN, "schedule.edit"),
    (
        "DELETE",
        "/api/v1/schedules/{name}",
        ADMIN,
        "schedule.delete",
    ),
    (
        "POST",
        "/api/v1/schedules/{name}/run",
        OPERATOR,
        "schedule.run",
    ),
    // It asks what would be; nothing changes.
    (
        "POST",
        "/api/v1/schedules/preview",
        VIEWER,
        "schedule.preview",
    ),
    ("POST", "/api/v1/letters/replay", OPERATOR, "letter.replay"),
    ("POST", "/api/v1/letters/discard", ADMIN, "letter.discard"),
    (
        "POST",
        "/api/v1/letters/{id}/replay",
        OPERATOR,
        "letter.replay",
    ),
    ("DELETE", "/api/v1/letters/{id}", ADMIN, "letter.discard"),
    // The forms of the pages.
    ("GET", "/audit", ADMIN, ""),
    ("POST", "/tasks/revoke", OPERATOR, "task.revoke"),
    ("POST", "/tasks/replay", OPERATOR, "task.replay"),
    ("POST", "/tasks/{id}/revoke", OPERATOR, "task.revoke"),
    ("POST", "/tasks/{id}/replay", OPERATOR, "task.replay"),
    ("POST", "/nodes/{name}/drain", OPERATOR, "node.drain"),
    ("POST", "/nodes/{name}/shutdown", ADMIN, "node.shutdown"),
    ("POST", "/nodes/{name}/control", OPERATOR, "node.control"),
    ("POST", "/schedules", ADMIN, "schedule.create"),
    ("POST", "/schedules/preview", VIEWER, "schedule.preview"),
    ("POST", "/schedules/{name}", ADMIN, "schedule.edit"),
    ("POST", "/schedules/{name}/run", OPERATOR, "schedule.run"),
    ("POST", "/schedules/{name}/enable", ADMIN, "schedule.edit"),
    ("POST", "/schedules/{name}/disable", ADMIN, "schedule.edit"),
    ("POST", "/schedules/{name}/delete", ADMIN, "schedule.delete"),
    ("POST", "/dead-letters/replay", OPERATOR, "letter.replay"),
    ("POST", "/dead-letters/discard", ADMIN, "letter.discard"),
    (
        "POST",
        "/dead-letters/{id}/replay",
        OPERATOR,
        "letter.replay",
    ),
    (
        "POST",
        "/dead-letters/{id}/discard",
        ADMIN,
        "letter.discard",
    ),
    ("POST", "/queues/{name}/pause", OPERATOR, "queue.pause"),
    ("POST", "/queues/{name}/resume", OPERATOR, "queue.resume"),
    ("POST", "/queues/{name}/purge", ADMIN, "queue.purge"),
    // The paths of Flower.
    (
        "POST",
        "/api/worker/shutdown/{name}",
        ADMIN,
        "node.shutdown",
    ),
    (
        "POST",
        "/api/worker/pool/restart/{name}",
        OPERATOR,
        "node.pool_restart",
    ),
    (
        "POST",
        "/api/worker/pool/grow/{name}",
        OPERATOR,
        "node.pool_grow",
    ),
    (
        "POST",
        "/api/worker/pool/shrink/{name}",
        OPERATOR,
        "node.pool_shrink",
    ),
    (
        "POST",
        "/api/worker/pool/autoscale/{name}",
        OPERATOR,
        "node.autoscale",
    ),
    (
        "POST",
        "/api/worker/queue/add-consumer/{name}",
        OPERATOR,
        "node.add_consumer",
    ),
    (
        "POST",
        "/api/worker/queue/cancel-consumer/{name}",
        OPERATOR,
        "node.cancel_consumer",
    ),
    ("POST", "/api/task/apply/{name}", OPERATOR, "task.send"),
    (
        "POST",
        "/api/task/async-apply/{name}",
        OPERATOR,
        "task.send",
    ),
    ("POST", "/api/task/send-task/{name}", OPERATOR, "task.send"),
    ("POST", "/api/task/abort/{id}", OPERATOR, "task.abort"),
    (
        "POST",
        "/api/task/timeout/{name}",
        OPERATOR,
        "task.time_limit",
    ),
    (
        "POST",
        "/api/task/rate-limit/{name}",
        OPERATOR,
        "task.rate_limit",
    ),
    ("POST", "/api/task/revoke/{id}", OPERATOR, "task.revoke"),
];

const VIEWER: Option<Role> = Some(Role::Viewer);
const OPERATOR: Option<Role> = Some(Role::Operator);
const ADMIN: Option<Role> = Some(Role::Admin);

/// Returns the rule of a route, as the router writes it.
pub(crate) fn rule(method: &str, route: &str) -> Rule {
    let (method, changes) = match method {
        "GET" | "HEAD" | "OPTIONS" => ("GET", false),
        other => (other, true),
    };
    match known(method, route) {
        Some(rule) => rule,
        None if changes => Rule {
            role: ADMIN,
            action: "request",
        },
        None => Rule {
            role: VIEWER,
            action: "",
        },
    }
}

/// Returns the rule that the table has.
pub(crate) fn known(method: &str, route: &str) -> Option<Rule> {
    let mut rules = RULES.iter();
    rules
        .find(|(m, r, ..)| *m == method && *r == route)
        .map(|(_, _, role, action)| Rule {
            role: *role,
            action,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_does_not_know_is_for_admins_to_change() {
        assert_eq!(rule("GET", "/api/v1/tasks").role, VIEWER);
        assert_eq!(rule("HEAD", "/livez").role, None);
        assert_eq!(rule("POST", "/api/v1/tasks").role, OPERATOR);
        assert_eq!(rule("DELETE", "/api/v1/tasks").role, ADMIN);
        assert_eq!(rule("BREW", "/api/v1/tasks").role, ADMIN);
        assert_eq!(rule("POST", "(unknown)").role, ADMIN);
    }

    #[test]
    fn each_route_is_there_once_and_what_changes_has_a_name() {
        for (at, (method, route, _, action)) in RULES.iter().enumerate() {
            let same = |(m, r, ..): &(&str, &str, Option<Role>, &str)| (m, r) == (method, route);
            assert!(!RULES[..at].iter().any(same), "{method} {route}");
            assert_eq!(*method == "GET", action.is_empty(), "{method} {route}");
        }
    }
}
