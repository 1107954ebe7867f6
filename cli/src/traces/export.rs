//! The thread that brings spans to a collector.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use celeriac::trace::{Recorded, Recorder, Sampler, Span, Tracer};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::convert::converted;
use super::settings::{Collector, collector};
use crate::error::Error;
use crate::settings::Settings;

/// So many spans wait for the collector at most: some 10 MiB.
const QUEUE: usize = 8192;
/// So many go in one request at most.
const BATCH: usize = 512;
/// So long a span waits for others at most.
const DELAY: Duration = Duration::from_secs(1);
/// So long spans may take at the end, when everything else has ended.
const FLUSH: Duration = Duration::from_secs(3);

/// Spans on their way to a collector.
#[derive(Debug)]
pub(crate) struct Export {
    outbox: Arc<Outbox>,
    sampler: Sampler,
    stop: CancellationToken,
    done: oneshot::Receiver<()>,
}

#[derive(Debug)]
struct Outbox {
    queue: mpsc::Sender<Span>,
    /// In the request that is made now.
    sent: AtomicU64,
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Recorder for Outbox {
    fn record(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn recorded(&self) -> Recorded {
        Recorded {
            exported: self.exported.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

impl Export {
    /// Starts the exporter, if the settings name a collector. Nobody is asked whether that is
    /// there.
    pub(crate) fn start(settings: &Settings) -> Result<Option<Self>, Error> {
        let Some(collector) = collector(settings)? else {
            return Ok(None);
        };
        let failed = |error: &dyn std::fmt::Display| {
            Error::Failed(format!("cannot start to export spans: {error}"))
        };
        let exporter = exporter(&collector).map_err(|error| failed(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let (queue, spans) = mpsc::channel(QUEUE);
        let outbox = Arc::new(Outbox {
            queue,
            sent: AtomicU64::new(0),
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let stop = CancellationToken::new();
        let (end, done) = oneshot::channel();
        let work = run(spans, exporter, Arc::clone(&outbox), stop.clone());
        std::thread::Builder::new()
            .name("celeriac-otlp".to_owned())
            .spawn(move || {
                runtime.block_on(work);
                // A name that is still being resolved must not keep the process.
                runtime.shutdown_background();
                let _ = end.send(());
            })
            .map_err(|error| failed(&error))?;
        let endpoint = celeriac::broker::mask(&collector.endpoint);
        tracing::info!(endpoint, "spans are exported");
        Ok(Some(Self {
            outbox,
            sampler: collector.sampler,
            stop,
            done,
        }))
    }

    pub(crate) fn tracer(&self) -> Tracer {
        let outbox = Arc::clone(&self.outbox);
        Tracer::new(outbox, self.sampler)
    }

    /// Brings what is left to the collector, for a short while.
    pub(crate) async fn close(export: Option<Self>) {
        let Some(Self {
            outbox, stop, done, ..
        }) = export
        else {
            return;
        };
        stop.cancel();
        let _ = timeout(FLUSH + DELAY, done).await;
        let Recorded { exported, dropped } = outbox.recorded();
        if dropped > 0 {
            tracing::warn!(exported, dropped, "spans were lost");
        }
    }
}

fn exporter(collector: &Collector) -> Result<SpanExporter, Box<dyn std::error::Error>> {
    let client = crate::web::client()?
        .timeout(collector.timeout)
        .connect_timeout(collector.timeout)
        .user_agent(concat!("celeriac/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&*collector.endpoint)
        .with_headers(collector.headers.clone())
        .with_timeout(collector.timeout)
        .build()?;
    let process = i64::from(std::process::id());
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("telemetry.sdk.name", "opentelemetry"),
            KeyValue::new("telemetry.sdk.language", "rust"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("host.name", celeriac::host::name()),
            KeyValue::new("process.pid", process),
        ])
        .with_attributes(collector.resource.iter().cloned())
        .build();
    exporter.set_resource(&resource);
    Ok(exporter)
}

/// Exports until it is told to stop, and then what is left, for so long as it may.
async fn run(
    mut spans: mpsc::Receiver<Span>,
    exporter: SpanExporter,
    outbox: Arc<Outbox>,
    stop: CancellationToken,
) {
    let limit = async {
        stop.cancelled().await;
        sleep(FLUSH).await;
    };
    tokio::select! {
        () = export_all(&mut spans, &exporter, &outbox, &stop) => {}
        () = limit => {}
    }
    spans.close();
    let mut left = outbox.sent.load(Ordering::Relaxed);
    while spans.try_recv().is_ok() {
        left += 1;
    }
    outbox.dropped.fetch_add(left, Ordering::Relaxed);
}

async fn export_all(
    spans: &mut mpsc::Receiver<Span>,
    exporter: &SpanExporter,
    outbox: &Outbox,
    stop: &CancellationToken,
) {
    let scope = InstrumentationScope::builder("celeriac")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build();
    let mut well = true;
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        gather(spans, &mut batch, stop).await;
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        let batch = batch.into_iter().map(|span| converted(span, &scope));
        outbox.sent.store(count, Ordering::Relaxed);
        let answer = exporter.export(batch.collect()).await;
        outbox.sent.store(0, Ordering::Relaxed);
        match answer {
            Ok(()) => {
                outbox.exported.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut well, true) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) => {
                outbox.dropped.fetch_add(count, Ordering::Relaxed);
                if std::mem::replace(&mut well, false) {
                    tracing::warn!(%error, count, "the collector takes no spans: they are lost");
                }
            }
        }
    }
}

/// Waits for spans, and then a while for more; none when there are no more.
async fn gather(spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>, stop: &CancellationToken) {
    let mut due = std::pin::pin!(async {
        sleep(DELAY).await;
    });
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        let empty = batch.is_empty();
        tokio::select! {
            biased;
            count = spans.recv_many(batch, room) => {
                if count == 0 {
                    return;
                }
            }
            () = stop.cancelled(), if !spans.is_closed() => spans.close(),
            () = due.as_mut(), if !empty => return,
        }
    }
}
