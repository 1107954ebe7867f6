//! `celeriac migrate`: brings messages from one broker to another.

use std::time::Duration;

use celeriac::App;
use celeriac::broker::{Delivery, Publication, Queue, Receipt, Subscription, Topology};
use celeriac::protocol::TaskHeaders;
use serde_json::json;

use crate::args;
use crate::error::Error;
use crate::output::Output;
use crate::progress::Progress;
use crate::settings::Settings;

/// How many messages are on their way at once when they are taken out of the source.
const WINDOW: u16 = 256;

/// What became of the messages of one queue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Moved {
    copied: u64,
    passed_over: u64,
}

pub(crate) async fn run(
    settings: &Settings,
    args: args::Migrate,
    output: Output,
) -> Result<(), Error> {
    let open = |url: &str| -> Result<App, Error> {
        if url.starts_with("memory:") {
            let text = "memory:// lives inside one process: expected brokers that others reach";
            return Err(Error::Usage(text.to_owned()));
        }
        Ok(App::builder("celeriac")
            .broker(url)
            .backend("disabled://")
            .build()?)
    };
    let (source, destination) = (open(&args.source)?, open(&args.destination)?);
    let mut report = Vec::new();
    for queue in super::queues(settings) {
        let left = args.limit.map(|limit| {
            limit
                - report
                    .iter()
                    .map(|(_, moved): &(String, Moved)| moved.copied)
                    .sum::<u64>()
        });
        if left == Some(0) {
            break;
        }
        let moved = migrate(&source, &destination, &queue, &args, left, output).await?;
        report.push((queue, moved));
    }
    source.close().await;
    destination.close().await;
    let rows: Vec<_> = report
        .iter()
        .map(|(queue, moved)| {
            json!({ "queue": queue, "copied": moved.copied, "passed_over": moved.passed_over })
        })
        .collect();
    output.show(&rows.into(), || {
        let line = |(queue, moved): &(String, Moved)| {
            let Moved {
                copied,
                passed_over,
            } = moved;
            format!("{queue}: {copied} messages copied, {passed_over} passed over")
        };
        report.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

async fn migrate(
    source: &App,
    destination: &App,
    queue: &str,
    args: &args::Migrate,
    limit: Option<u64>,
    output: Output,
) -> Result<Moved, Error> {
    let Some(status) = source.broker().queue(queue).await? else {
        return Err(Error::Failed(format!("the source has no queue {queue:?}")));
    };
    // Messages that stay are held until the end, and a consumer holds no more than so many.
    let leaves_some = !args.ack_messages || !args.tasks.is_empty();
    if leaves_some && status.ready > u64::from(u16::MAX) {
        let (most, found) = (u16::MAX, status.ready);
        return Err(Error::Usage(format!(
            "{queue}: expected at most {most} messages where some stay in the source, found \
             {found}; take them all with --ack-messages and without --tasks"
        )));
    }
    let topology = Topology {
        queues: vec![Queue::new(queue)],
        ..Topology::default()
    };
    destination.broker().declare(&topology).await?;
    let window = if leaves_some { u16::MAX } else { WINDOW };
    let mut consumer = source
        .broker()
        .consume(Subscription::new(queue, window))
        .await?;
    let total = if args.forever {
        None
    } else {
        Some(limit.unwrap_or(status.ready))
    };
    let progress = Progress::counting(output, total, queue);
    let (mut moved, mut kept) = (Moved::default(), Vec::<Receipt>::new());
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 {
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(usize::from(WINDOW));
        let patience = if args.forever {
            Duration::MAX
        } else {
            args.timeout
        };
        let Ok(Some(deliveries)) = tokio::time::timeout(patience, consumer.next(most)).await else {
            break;
        };
        progress.advance(deliveries.len() as u64);
        let (wanted, others): (Vec<_>, Vec<_>) = deliveries
            .into_iter()
            .partition(|delivery| is_wanted(delivery, &args.tasks));
        moved.passed_over += others.len() as u64;
        kept.extend(others.into_iter().map(|other| other.receipt));
        let copies = wanted
            .iter()
            .map(|delivery| Publication::to_queue(queue, (*delivery.message).clone()));
        let sent = destination.broker().publish_all(copies.collect()).await;
        for (delivery, sent) in wanted.into_iter().zip(sent) {
            // What the destination does not have stays in the source: its receipt is dropped.
            sent?;
            moved.copied += 1;
            left -= 1;
            if args.ack_messages {
                delivery.receipt.acknowledge();
            } else {
                kept.push(delivery.receipt);
            }
        }
    }
    consumer.cancel().await?;
    // Only now: given back before, they would come again.
    kept.into_iter().for_each(Receipt::requeue);
    Ok(moved)
}

fn is_wanted(delivery: &Delivery, tasks: &[String]) -> bool {
    if tasks.is_empty() {
        return true;
    }
    TaskHeaders::from_ref(&delivery.message.headers)
        .is_ok_and(|headers| tasks.iter().any(|task| task == headers.display_name()))
}
