//! The options of `celeriac call`.

use std::time::Duration;

use clap::Args;

use super::Api;
use crate::units::parse_duration;

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// Name of the task
    pub(crate) name: String,
    /// Positional arguments: a JSON list
    #[arg(short, long, value_name = "JSON", default_value = "[]")]
    pub(crate) args: String,
    /// Keyword arguments: a JSON object
    #[arg(short, long, value_name = "JSON", default_value = "{}")]
    pub(crate) kwargs: String,
    /// Wait for the result, this long at most [default when given: 60s]
    #[arg(
        long, value_name = "DURATION", value_parser = parse_duration, num_args = 0..=1,
        default_missing_value = "60s", require_equals = true
    )]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) time: Time,
    #[command(flatten)]
    pub(crate) message: Message,
    #[command(flatten)]
    pub(crate) api: Api,
}

/// Where it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where it goes")]
pub(crate) struct Place {
    /// Queue to send it to [default: that of the first route that fits, else the default queue]
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Exchange to send it to, instead of a queue
    #[arg(long, conflicts_with = "queue")]
    pub(crate) exchange: Option<String>,
    /// Routing key, for topic exchanges [default: the queue's]
    #[arg(long, value_name = "KEY")]
    pub(crate) routing_key: Option<String>,
    /// Priority, 0 to 255; counts on queues that have priorities [default: 0]
    #[arg(long)]
    pub(crate) priority: Option<u8>,
    /// Queue that results are sent to, with rpc:// [default: one of this command's own]
    #[arg(long, value_name = "QUEUE")]
    pub(crate) reply_to: Option<String>,
}

/// When it runs, and how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "When it runs")]
pub(crate) struct Time {
    /// Run it after this long, such as 10s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "eta")]
    pub(crate) countdown: Option<Duration>,
    /// Run it at this time, such as 2030-01-02T15:04:05+01:00; UTC when no zone is given
    #[arg(long, value_name = "TIME")]
    pub(crate) eta: Option<String>,
    /// Drop it when it has not started after this long, or at this time
    #[arg(long, value_name = "DURATION|TIME")]
    pub(crate) expires: Option<String>,
    /// It is stopped after this long: what the flag `--time-limit` says, which is a setting
    /// of nodes to other commands.
    #[arg(skip)]
    pub(crate) time_limit: Option<Duration>,
    /// It is asked to stop after this long; so `--soft-time-limit`.
    #[arg(skip)]
    pub(crate) soft_time_limit: Option<Duration>,
}

/// What the message says besides.
#[derive(Debug, Args)]
#[command(next_help_heading = "What the message says")]
pub(crate) struct Message {
    /// Id of the task [default: a new one]
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Name that logs and events show instead of the task's
    #[arg(long, value_name = "NAME")]
    pub(crate) shadow: Option<String>,
    /// Task to call with the result: a name, or a signature in JSON. May be given often
    #[arg(long, value_name = "TASK")]
    pub(crate) link: Vec<String>,
    /// Task to call with the id when it fails: a name, or a signature in JSON. May be given
    /// often
    #[arg(long, value_name = "TASK")]
    pub(crate) link_error: Vec<String>,
    /// Store no result
    #[arg(long)]
    pub(crate) ignore_result: bool,
    /// Serializer of the arguments: json, msgpack or yaml [default: json]
    #[arg(long, value_name = "NAME")]
    pub(crate) serializer: Option<String>,
    /// Compression of the arguments: zlib, bzip2 or zstd [default: none]
    #[arg(long, value_name = "NAME")]
    pub(crate) compression: Option<String>,
    /// Header of one's own; the value is JSON, or else text. May be given often
    #[arg(long = "header", value_name = "NAME=VALUE")]
    pub(crate) headers: Vec<String>,
    /// Stamp; the value is JSON, or else text. May be given often
    #[arg(long = "stamp", value_name = "NAME=VALUE")]
    pub(crate) stamps: Vec<String>,
    /// Let the message be lost when the broker restarts
    #[arg(long)]
    pub(crate) transient: bool,
    /// Tries after the first when the broker is away [default: wait for it, 10 s at most]
    #[arg(long, value_name = "N")]
    pub(crate) publish_retries: Option<u32>,
    /// Any other option of Celery's protocol, such as group_id; the value is JSON, or else
    /// text. May be given often
    #[arg(long = "option", value_name = "NAME=VALUE")]
    pub(crate) options: Vec<String>,
}
