//! One layer of settings: what one source says.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::people::{TokenTable, UserTable};
use super::scalar::Text;
use super::tables::{QueueTable, RouteTable};

/// What one source of settings says; `None` is what it does not say.
///
/// Values are kept as the text a person wrote and are parsed after merging, so that an
/// error can name the setting and where it came from.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Layer {
    /// Broker URL: memory://, amqp://user:password@host:port/vhost, amqps://
    /// [default: amqp://guest:guest@127.0.0.1:5672/%2f; one of its own for up]
    #[arg(short, long, value_name = "URL", help_heading = "Connections")]
    pub(crate) broker: Option<Text>,
    /// Result backend URL: rpc://, redis://, rediss://, memory://, disabled://
    /// [default: disabled://; one of its own for up]
    #[arg(short, long, value_name = "URL", help_heading = "Connections")]
    pub(crate) result_backend: Option<Text>,
    /// Queue of calls that name none [default: celery]
    #[arg(long, value_name = "QUEUE", help_heading = "Connections")]
    pub(crate) default_queue: Option<Text>,
    /// Tell monitors of every task that is sent: true or false [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Connections")]
    pub(crate) send_sent_events: Option<Text>,
    /// Store with results what was called, where and how: true or false [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Connections")]
    pub(crate) result_extended: Option<Text>,
    /// Highest priority of queues that do not say theirs, 1 to 255 [default: none]
    #[arg(long, value_name = "N", help_heading = "Connections")]
    pub(crate) queue_max_priority: Option<Text>,
    /// How queues are kept that no [[queue]] describes: classic or quorum [default: classic]
    #[arg(long, value_name = "classic|quorum", help_heading = "Connections")]
    pub(crate) queue_type: Option<Text>,
    /// Make queues that no [[queue]] describes: true or false [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Connections")]
    pub(crate) create_missing_queues: Option<Text>,
    /// The queues of a settings file.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub(crate) queue: Vec<QueueTable>,
    /// The routes of a settings file.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub(crate) route: Vec<RouteTable>,
    /// The entries of the plan.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub(crate) schedule: Vec<toml::Table>,

    /// What to log: error, warn, info, debug, trace, or a filter such as
    /// info,celeriac=debug [default: info]
    #[arg(short, long, value_name = "LEVEL", help_heading = "Logging")]
    pub(crate) loglevel: Option<Text>,
    /// How to log: text or json [default: text]
    #[arg(long, value_name = "text|json", help_heading = "Logging")]
    pub(crate) log_format: Option<Text>,

    /// Name of the node [default: celeriac@<host>]
    #[arg(short = 'n', long, value_name = "NAME", help_heading = "Node")]
    pub(crate) hostname: Option<Text>,
    /// Queues to consume, separated by commas [default: those of [[queue]] in the settings
    /// file, else the default queue]
    #[arg(short = 'Q', long, value_name = "QUEUES", help_heading = "Node")]
    pub(crate) queues: Option<Text>,
    /// Consume also a queue that leads to this node alone, <node>.dq2: true or false
    /// [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Node")]
    pub(crate) worker_direct: Option<Text>,
    /// How many tasks run at once [default: 8 per core]
    #[arg(short, long, value_name = "N", help_heading = "Node")]
    pub(crate) concurrency: Option<Text>,
    /// Let the number of tasks that run at once follow the load: max,min, or max alone for
    /// max,0 [default: off]
    #[arg(long, value_name = "MAX,MIN", help_heading = "Node")]
    pub(crate) autoscale: Option<Text>,
    /// File in which revocations survive a restart, one for each node; %n, %h, %d and %p are
    /// its name, host, domain and full name [default: none]
    #[arg(
        short = 'S',
        long = "statedb",
        alias = "state-db",
        value_name = "FILE",
        help_heading = "Node"
    )]
    pub(crate) state_db: Option<Text>,
    /// Let remote control restart the pool: true or false [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Node")]
    pub(crate) pool_restarts: Option<Text>,
    /// Messages taken ahead: 4x is four per place, 100 is a hundred [default: 4x]
    #[arg(long, value_name = "N|Nx", help_heading = "Node")]
    pub(crate) prefetch: Option<Text>,
    /// Hard time limit of tasks that have none of their own, such as 10m [default: none]
    #[arg(long, value_name = "DURATION", help_heading = "Node")]
    pub(crate) time_limit: Option<Text>,
    /// Soft time limit of tasks that have none of their own [default: none]
    #[arg(long, value_name = "DURATION", help_heading = "Node")]
    pub(crate) soft_time_limit: Option<Text>,
    /// How long whoever started this process waits between SIGTERM and SIGKILL, such as a
    /// pod's terminationGracePeriodSeconds; the drain deadline follows from it, or has to fit
    /// [default: not known]
    #[arg(long, value_name = "DURATION", help_heading = "Stopping")]
    pub(crate) termination_grace_period: Option<Text>,
    /// How long running tasks may take after the first SIGTERM [default: the grace period
    /// less 5s, or a fifth of one below 25s; 30s when that is not known]
    #[arg(long, value_name = "DURATION", help_heading = "Node")]
    pub(crate) drain_deadline: Option<Text>,
    /// Send task events, for monitors: true or false [default: false]
    #[arg(
        short = 'E', long, value_name = "BOOL", num_args = 0..=1,
        default_missing_value = "true", require_equals = true, help_heading = "Node"
    )]
    pub(crate) events: Option<Text>,
    /// Address of the node's /livez, /readyz, /startupz and /metrics [default: none]
    #[arg(long, value_name = "ADDR", help_heading = "Node")]
    pub(crate) http: Option<Text>,
    /// Largest body that is read, in bytes [default: 16777216]
    #[arg(long, value_name = "BYTES", help_heading = "Node")]
    pub(crate) max_body: Option<Text>,
    /// Which messages go to <queue>.dead when they end badly: none, undecodable (what
    /// nobody can run) or failed (those of failed tasks too) [default: failed]
    #[arg(long, value_name = "none|undecodable|failed", help_heading = "Node")]
    pub(crate) dead_letters: Option<Text>,
    /// Deliveries without an end after which a message of a quorum queue is a dead
    /// letter; 0 for no limit [default: 16]
    #[arg(long, value_name = "N", help_heading = "Node")]
    pub(crate) max_deliveries: Option<Text>,
    /// Run Celery's own tasks, such as celery.map: true or false [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Node")]
    pub(crate) builtin_tasks: Option<Text>,

    /// How many processes run isolated tasks [default: the concurrency]
    #[arg(long, value_name = "N", help_heading = "Node")]
    pub(crate) child_processes: Option<Text>,
    /// Replace the process of isolated tasks after so many tasks [default: never]
    #[arg(long, value_name = "N", help_heading = "Node")]
    pub(crate) max_tasks_per_child: Option<Text>,
    /// Replace the process of isolated tasks that holds more KiB after a task
    /// [default: never]
    #[arg(long, value_name = "KIB", help_heading = "Node")]
    pub(crate) max_memory_per_child: Option<Text>,
    /// Kill the process of isolated tasks that holds more KiB [default: never]
    #[arg(long, value_name = "KIB", help_heading = "Node")]
    pub(crate) memory_limit_per_child: Option<Text>,

    /// Address of the supervisor's API and pages [default: 127.0.0.1:9595]
    #[arg(long, value_name = "ADDR", help_heading = "Supervisor")]
    pub(crate) listen: Option<Text>,
    /// Address of the external scaler that KEDA asks, such as 0.0.0.0:9596: gRPC without
    /// TLS and without a token, that tells how many tasks there are [default: none]
    #[arg(long, value_name = "ADDR", help_heading = "Supervisor")]
    pub(crate) scaler_listen: Option<Text>,
    /// Token that API requests must bear; needed to listen beyond loopback [default: none]
    #[arg(long, value_name = "TOKEN", help_heading = "Supervisor")]
    pub(crate) token: Option<Text>,
    /// Listen beyond loopback without a token: true or false [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Supervisor")]
    pub(crate) allow_anonymous: Option<Text>,
    /// How one of several supervisors is elected to send the ticks of schedules: auto,
    /// broker, lease or none; auto is a Lease in a pod of Kubernetes with --lease, else the
    /// broker [default: auto]
    #[arg(
        long,
        value_name = "auto|broker|lease|none",
        help_heading = "Supervisor"
    )]
    pub(crate) leader_election: Option<Text>,
    /// Lease of Kubernetes that elects the leader; its pods need the verbs get, create and
    /// update on leases [default: none]
    #[arg(long, value_name = "NAME", help_heading = "Supervisor")]
    pub(crate) lease: Option<Text>,
    /// Namespace of that Lease [default: the pod's]
    #[arg(long, value_name = "NAME", help_heading = "Supervisor")]
    pub(crate) lease_namespace: Option<Text>,
    /// How long the Lease of a leader that died keeps others out, in whole seconds; one that
    /// is cut off stops after two thirds of it [default: 3s]
    #[arg(long, value_name = "DURATION", help_heading = "Supervisor")]
    pub(crate) lease_duration: Option<Text>,
    /// Which pods of Kubernetes run nodes, as a label selector: the leading supervisor tells
    /// the cluster which of them lose least when a Deployment shrinks; its pods need the verbs
    /// list and patch on pods, and list on deployments [default: none, off]
    #[arg(long, value_name = "SELECTOR", help_heading = "Supervisor")]
    pub(crate) node_pods: Option<Text>,
    /// Folder of the pod's service account, with token, ca.crt and namespace
    /// [default: /var/run/secrets/kubernetes.io/serviceaccount]
    #[arg(long, value_name = "FOLDER", help_heading = "Supervisor")]
    pub(crate) service_account: Option<Text>,
    /// URL at which people reach this supervisor, told to the others [default: the address,
    /// unless it is loopback]
    #[arg(long, value_name = "URL", help_heading = "Supervisor")]
    pub(crate) advertise: Option<Text>,
    /// RabbitMQ's management API, for what AMQP does not tell of queues, such as
    /// http://user:password@host:15672 [default: none]
    #[arg(long, value_name = "URL", help_heading = "Supervisor")]
    pub(crate) management_url: Option<Text>,
    /// Header in which a trusted proxy says who asks, such as X-Forwarded-User [default: none]
    #[arg(long, value_name = "HEADER", help_heading = "Supervisor")]
    pub(crate) trusted_header: Option<Text>,
    /// Header in which a trusted proxy says the groups of who asks [default: none]
    #[arg(long, value_name = "HEADER", help_heading = "Supervisor")]
    pub(crate) groups_header: Option<Text>,
    /// Addresses that these headers are believed from, separated by commas, such as
    /// 10.0.0.0/8 [default: none]
    #[arg(long, value_name = "CIDRS", help_heading = "Supervisor")]
    pub(crate) trusted_proxies: Option<Text>,
    /// Which group has which role, separated by commas, such as ops=operator,root=admin
    /// [default: none]
    #[arg(long, value_name = "GROUP=ROLE", help_heading = "Supervisor")]
    pub(crate) group_roles: Option<Text>,
    /// Role of those that a trusted proxy names and that are in none of the groups
    /// [default: none, they are refused]
    #[arg(
        long,
        value_name = "viewer|operator|admin",
        help_heading = "Supervisor"
    )]
    pub(crate) default_role: Option<Text>,
    /// Show /metrics to everybody: true or false [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Supervisor")]
    pub(crate) metrics_anonymous: Option<Text>,
    /// Keywords whose values are hidden too, separated by commas, such as iban,card.number
    /// [default: none]
    #[arg(long, value_name = "PATTERNS", help_heading = "Supervisor")]
    pub(crate) hide_keys: Option<Text>,
    /// Hide the values of keywords such as password, secret, token: true or false
    /// [default: true]
    #[arg(long, value_name = "BOOL", help_heading = "Supervisor")]
    pub(crate) hide_defaults: Option<Text>,
    /// Tasks whose arguments are hidden wholly, separated by commas, such as billing.*
    /// [default: none]
    #[arg(long, value_name = "PATTERNS", help_heading = "Supervisor")]
    pub(crate) hide_arguments_of: Option<Text>,
    /// Tasks whose results and errors are hidden wholly, separated by commas [default: none]
    #[arg(long, value_name = "PATTERNS", help_heading = "Supervisor")]
    pub(crate) hide_results_of: Option<Text>,
    /// How long the audit log keeps an entry [default: 365d]
    #[arg(long, value_name = "DURATION", help_heading = "Supervisor")]
    pub(crate) audit_age: Option<Text>,
    /// How many entries the audit log keeps [default: 100000]
    #[arg(long, value_name = "N", help_heading = "Supervisor")]
    pub(crate) audit_entries: Option<Text>,
    /// The people of a settings file.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub(crate) user: Vec<UserTable>,
    /// The programs of a settings file.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub(crate) api_token: Vec<TokenTable>,
    /// Further queues whose messages are dead letters, such as the broker's own
    #[arg(long, value_name = "NAMES", help_heading = "Supervisor")]
    pub(crate) dead_letter_queues: Option<Text>,
    /// How many dead letters are kept [default: 100000]
    #[arg(long, value_name = "N", help_heading = "Supervisor")]
    pub(crate) letters: Option<Text>,
    /// How long dead letters are kept [default: 90d]
    #[arg(long, value_name = "DURATION", help_heading = "Supervisor")]
    pub(crate) letters_for: Option<Text>,
    /// How often a node may end while a task runs before that task is put away; 0 for
    /// any number [default: 3]
    #[arg(long, value_name = "N", help_heading = "Supervisor")]
    pub(crate) crash_limit: Option<Text>,
    /// Where history, schedules and dead letters are kept: memory:, the path of an SQLite
    /// file, or postgres://user:password@host/database [default: celeriac.db in
    /// $STATE_DIRECTORY, $XDG_STATE_HOME/celeriac or ~/.local/state/celeriac; memory: for up]
    #[arg(long, value_name = "PLACE", help_heading = "Supervisor")]
    pub(crate) store: Option<Text>,
    /// How long the store keeps tasks, such as 30d [default: 7d]
    #[arg(long, value_name = "DURATION", help_heading = "Supervisor")]
    pub(crate) history_max_age: Option<Text>,
    /// How many tasks the store keeps; the oldest go first; 0 for no history
    /// [default: 1000000]
    #[arg(long, value_name = "N", help_heading = "Supervisor")]
    pub(crate) history_max_tasks: Option<Text>,
    /// How many tasks the supervisor holds in memory [default: 10000]
    #[arg(long, value_name = "N", help_heading = "Supervisor")]
    pub(crate) history: Option<Text>,

    /// SMTP server of celeriac.mail.send: smtp://[user:password@]host:port, smtps://
    #[arg(long, value_name = "URL", help_heading = "Built-in tasks")]
    pub(crate) smtp: Option<Text>,
    /// Sender address of celeriac.mail.send
    #[arg(long, value_name = "ADDRESS", help_heading = "Built-in tasks")]
    pub(crate) smtp_from: Option<Text>,
    /// Hosts that celeriac.http.request may call, separated by commas, *.example.org
    /// for all below [default: any public host]
    #[arg(long, value_name = "HOSTS", help_heading = "Built-in tasks")]
    pub(crate) http_allowed_hosts: Option<Text>,
    /// Let celeriac.http.request call private addresses: true or false [default: false]
    #[arg(long, value_name = "BOOL", help_heading = "Built-in tasks")]
    pub(crate) http_allow_private: Option<Text>,

    /// OTLP collector that takes spans over HTTP, such as http://127.0.0.1:4318; /v1/traces is
    /// added [default: none, no spans]
    #[arg(long, value_name = "URL", help_heading = "Traces")]
    pub(crate) otlp_endpoint: Option<Text>,
    /// The same, as it is: nothing is added [default: none]
    #[arg(long, value_name = "URL", help_heading = "Traces")]
    pub(crate) otlp_traces_endpoint: Option<Text>,
    /// Headers of requests to the collector, as name=value separated by commas [default: none]
    #[arg(long, value_name = "HEADERS", help_heading = "Traces")]
    pub(crate) otlp_headers: Option<Text>,
    /// How long the collector may take to take spans, in milliseconds [default: 10000]
    #[arg(long, value_name = "MS", help_heading = "Traces")]
    pub(crate) otlp_timeout: Option<Text>,
    /// How spans are sent: http/protobuf, and no other [default: http/protobuf]
    #[arg(long, value_name = "NAME", help_heading = "Traces")]
    pub(crate) otlp_protocol: Option<Text>,
    /// Name of this service in traces [default: celeriac]
    #[arg(long, value_name = "NAME", help_heading = "Traces")]
    pub(crate) service_name: Option<Text>,
    /// What else traces say of this service, as name=value separated by commas [default: none]
    #[arg(long, value_name = "ATTRIBUTES", help_heading = "Traces")]
    pub(crate) resource_attributes: Option<Text>,
    /// Which traces are recorded, by OpenTelemetry's names [default: parentbased_always_on]
    #[arg(long, value_name = "NAME", help_heading = "Traces")]
    pub(crate) traces_sampler: Option<Text>,
    /// Which part of them, from 0 to 1, for the samplers with traceidratio [default: 1]
    #[arg(long, value_name = "PART", help_heading = "Traces")]
    pub(crate) traces_sampler_arg: Option<Text>,
}

/// Shows nothing: it may hold secrets.
impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_write_numbers_flags_and_lists() {
        let layer: Layer =
            toml::from_str("concurrency = 4\nevents = true\nqueues = [\"a\", \"b\"]").unwrap();
        assert_eq!(layer.concurrency.as_deref(), Some("4"));
        assert_eq!(layer.events.as_deref(), Some("true"));
        assert_eq!(layer.queues.as_deref(), Some("a,b"));
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let error = toml::from_str::<Layer>("concurency = 4")
            .unwrap_err()
            .to_string();
        assert!(error.contains("concurency"), "{error}");
    }
}
