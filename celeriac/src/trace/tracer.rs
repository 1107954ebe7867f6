//! Who records spans.

use std::fmt;
use std::sync::Arc;

use super::context::TraceContext;
use super::ids::TraceId;
use super::sampler::Sampler;
use super::span::Span;
use super::span_context::SpanContext;

/// Takes spans that have ended, to bring them somewhere.
pub trait Recorder: Send + Sync {
    /// Takes a span over. It must not wait: tasks do. What it has no room for, it drops and
    /// counts.
    fn record(&self, span: Span);

    /// Returns what became of the spans so far.
    fn recorded(&self) -> Recorded;
}

/// What became of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recorded {
    /// They have arrived.
    pub exported: u64,
    /// They are lost: there was no room, or nobody took them in time.
    pub dropped: u64,
}

/// Makes spans of what an app sends and a node runs, and has them recorded.
///
/// Give it to [`AppBuilder::tracer`](crate::AppBuilder::tracer). Cheap to clone.
#[derive(Clone)]
pub struct Tracer(Arc<Inner>);

struct Inner {
    recorder: Arc<dyn Recorder>,
    sampler: Sampler,
}

/// A span that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    /// What belongs to it continues this.
    pub(crate) context: TraceContext,
    /// The span before it.
    pub(crate) parent: Option<SpanContext>,
    /// Itself, if it is recorded.
    pub(crate) recorded: Option<SpanContext>,
}

impl Tracer {
    /// Makes a tracer of those traces that the sampler takes.
    pub fn new(recorder: Arc<dyn Recorder>, sampler: Sampler) -> Self {
        Self(Arc::new(Inner { recorder, sampler }))
    }

    /// Has a span recorded.
    pub fn record(&self, span: Span) {
        self.0.recorder.record(span);
    }

    /// Returns what became of the spans so far.
    pub fn recorded(&self) -> Recorded {
        self.0.recorder.recorded()
    }

    /// Begins a span of the parent's trace, or of a new one. One that is not recorded is as
    /// if it was not there: what follows it belongs to its parent.
    pub(crate) fn begin(&self, parent: Option<TraceContext>) -> Begun {
        let before = parent.as_ref().and_then(TraceContext::span);
        let Some(span) = before else {
            let id = TraceId::random();
            let root = SpanContext::first(id, self.0.sampler.samples(id, None));
            return Begun {
                context: TraceContext::at(parent.as_ref(), root),
                parent: None,
                recorded: root.is_sampled().then_some(root),
            };
        };
        let sampled = self
            .0
            .sampler
            .samples(span.trace_id(), Some(span.is_sampled()));
        match (sampled, parent) {
            (false, Some(parent)) => Begun {
                context: parent,
                parent: before,
                recorded: None,
            },
            (_, parent) => {
                let child = span.child();
                Begun {
                    context: TraceContext::at(parent.as_ref(), child),
                    parent: before,
                    recorded: Some(child),
                }
            }
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer")
            .field("sampler", &self.0.sampler)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    struct Nobody;

    impl Recorder for Nobody {
        fn record(&self, _: Span) {}

        fn recorded(&self) -> Recorded {
            Recorded::default()
        }
    }

    fn parent(flags: &str) -> TraceContext {
        let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        TraceContext::read(|name| (name == "traceparent").then(|| text.clone())).unwrap()
    }

    // Semantics: S50.
    #[test]
    fn a_span_is_a_child_of_its_parent_or_begins_a_trace() {
        let tracer = Tracer::new(Arc::new(Nobody), Sampler::default());
        let before = parent("01");
        let begun = tracer.begin(Some(before.clone()));
        assert_eq!(begun.parent, before.span());
        assert_eq!(begun.context.span(), begun.recorded);
        let (own, before) = (begun.recorded.unwrap(), before.span().unwrap());
        assert_eq!(own.trace_id(), before.trace_id());
        assert_ne!(own.span_id(), before.span_id());
        let root = tracer.begin(None);
        assert_eq!((root.parent, root.context.span()), (None, root.recorded));
        assert!(root.recorded.is_some());
    }

    // Semantics: S50.
    #[test]
    fn what_is_not_recorded_cuts_no_trace() {
        let tracer = Tracer::new(Arc::new(Nobody), Sampler::default());
        let begun = tracer.begin(Some(parent("00")));
        assert_eq!((begun.recorded, begun.context), (None, parent("00")));
        let off = Tracer::new(Arc::new(Nobody), Sampler::AlwaysOff);
        let begun = off.begin(Some(parent("01")));
        assert_eq!((begun.recorded, begun.context), (None, parent("01")));
        // Nobody further on shall record the half of it.
        let root = off.begin(None);
        assert_eq!(root.recorded, None);
        assert!(!root.context.span().unwrap().is_sampled());
    }
}
