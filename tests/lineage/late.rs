//! Children that start after their parents have ended, and spans that share an id.

use crate::common::{assert_adds_up, assert_flawless, at, config, counted_provider, export, server, span, LONG};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::Context;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Config, LangSmithExporter, LangSmithSpanProcessor, PendingRuns};
use opentelemetry_sdk::trace::{IdGenerator, SdkTracerProvider, SpanExporter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

type Start<'a> = dyn Fn(&'static str, &Context) -> Context + 'a;

/// How many runs of this name have no parent.
fn roots(server: &LocalLangSmith, name: &str) -> usize {
    server.runs().iter().filter(|run| run.name == name && run.parent_run_id.is_none()).count()
}

/// Plays with spans that start and end at once.
fn play(config: Config, game: impl FnOnce(&Start<'_>)) {
    let (provider, handle) = counted_provider(config);
    let tracer = provider.tracer("late");
    game(&|name, parent| {
        let context = parent.with_span(tracer.start_with_context(name, parent));
        context.span().end();
        context
    });
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_adds_up(&handle.client().stats());
}

#[test]
fn a_child_stands_under_a_parent_that_ended_5000_traces_ago() {
    const OTHERS: usize = 5000;
    let server = LocalLangSmith::start().unwrap();
    play(config(&server), |ended| {
        let parents: Vec<_> = (0..20).map(|_| ended("parent", &Context::new())).collect();
        for _ in 0..OTHERS {
            ended("other", &Context::new());
        }
        for parent in &parents {
            ended("child", &ended("child", parent));
        }
    });
    assert_flawless(&server, OTHERS + 60);
    assert_eq!((roots(&server, "child"), roots(&server, "parent")), (0, 20));
}

/// Traces of all sizes are remembered, each of their spans, and taken up again as often as it takes.
#[test]
fn any_span_of_a_trace_that_is_over_can_have_children() {
    for size in [1, 17, 65] {
        let server = server();
        play(config(&server), |ended| {
            let root = ended("span", &Context::new());
            let mut spans = vec![root.clone()];
            for number in 1..size {
                spans.push(ended("span", &spans[number / 2]));
            }
            for round in 0..3 {
                (0..600).for_each(|_| drop(ended("other", &Context::new())));
                for span in spans.iter().skip(round).step_by(7) {
                    ended("child", span);
                }
            }
        });
        assert_eq!(server.violations(), Vec::<String>::new());
        assert_eq!((roots(&server, "child"), roots(&server, "span")), (0, 1), "of {size}");
    }
}

/// Half of the limit is for them; what began first goes first, and those with open spans stay.
#[test]
fn as_many_are_remembered_as_the_limit_allows() {
    let server = server();
    let (provider, _) = counted_provider(config(&server).with_open_spans(4000));
    let tracer = provider.tracer("late");
    let start = |name, parent: &Context| parent.with_span(tracer.start_with_context(name, parent));
    let open = start("open", &Context::new());
    let below = start("below", &open);
    below.span().end();
    let mut ended = Vec::new();
    for size in (0..800).map(|number| number % 10) {
        let root = start("root", &Context::new());
        (0..size).for_each(|_| start("inner", &root).span().end());
        root.span().end();
        ended.push(root);
    }
    let (old, recent) = (&ended[..300], &ended[780..]);
    for (name, parents) in [("recent", recent), ("old", old)] {
        for parent in parents {
            start(name, parent).span().end();
        }
    }
    start("late", &below).span().end();
    open.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_eq!(server.violations(), Vec::<String>::new());
    assert_eq!((roots(&server, "recent"), roots(&server, "late")), (0, 0));
    // A few that nobody pushed out may still be there.
    assert!((250..=300).contains(&roots(&server, "old")), "{}", roots(&server, "old"));
    assert_eq!((roots(&server, "inner"), roots(&server, "root")), (0, 800));
}

/// Gives every span of a trace the same id but where it is told otherwise.
#[derive(Debug)]
struct SameIds(Mutex<Vec<u64>>, AtomicU64);

impl IdGenerator for SameIds {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(0x7ace_u128)
    }

    fn new_span_id(&self) -> SpanId {
        let next = self.0.lock().unwrap().pop();
        SpanId::from(next.unwrap_or_else(|| 1000 + self.1.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Two spans of one id are two runs, each with its own name and time, and with what began below it.
#[test]
fn an_id_that_is_used_twice_leaves_no_orphan() {
    // Which of them ends first, and whether the other one ends at all.
    for (ends, pending) in
        [[1, 2], [2, 1], [1, 0], [2, 0], [0, 0]].into_iter().flat_map(|ends| [(ends, false), (ends, true)])
    {
        let server = server();
        let mut config = config(&server);
        if pending {
            config = config.with_pending_after(std::time::Duration::ZERO).with_pending_runs(PendingRuns::All);
        }
        let processor = LangSmithSpanProcessor::new(config).unwrap();
        // Taken from the back: the root, one, its child, the other, its child.
        let ids = SameIds(Mutex::new(vec![12, 7, 11, 7, 1]), AtomicU64::new(0));
        let provider = SdkTracerProvider::builder().with_span_processor(processor).with_id_generator(ids).build();
        let tracer = provider.tracer("same");
        let start = |name: &'static str, parent: &Context, micros| {
            let span = tracer.span_builder(name).with_start_time(at(micros)).start_with_context(&tracer, parent);
            parent.with_span(span)
        };
        let root = start("root", &Context::new(), 0);
        let first = start("first", &root, 10);
        let below_first = start("below first", &first, 20);
        let second = start("second", &root, 30);
        let below_second = start("below second", &second, 40);
        if pending {
            provider.force_flush().unwrap();
        }
        for context in [&below_first, &below_second] {
            context.span().end();
        }
        for number in ends {
            match number {
                1 => first.span().end_with_timestamp(at(100)),
                2 => second.span().end_with_timestamp(at(200)),
                _ => {}
            }
        }
        root.span().end();
        provider.shutdown_with_timeout(LONG).unwrap();

        assert_eq!(server.violations(), Vec::<String>::new(), "{ends:?}");
        assert_eq!(server.received(), 5, "{ends:?}");
        let runs = server.runs();
        let of =
            |name: &str| runs.iter().find(|run| run.name == name).unwrap_or_else(|| panic!("no {name} at {ends:?}"));
        for name in ["first", "second"] {
            assert_eq!(of(name).parent_run_id.as_ref(), Some(&of("root").id), "{ends:?}");
            assert_eq!(of(&format!("below {name}")).parent_run_id.as_ref(), Some(&of(name).id), "{ends:?}");
        }
        assert!(of("first").start_time < of("second").start_time, "{ends:?}");
    }
}

/// Behind the exporter too, whichever of them comes first, and whether their parent has come.
#[test]
fn the_exporter_places_spans_of_one_id_under_their_parent() {
    for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for at_once in [true, false] {
            let server = server();
            let exporter = LangSmithExporter::new(config(&server)).unwrap();
            let mut spans = [span(5, 1, 0), span(5, 7, 1), span(5, 7, 1)];
            spans[1].name = "first".into();
            spans[2].name = "second".into();
            let spans = order.map(|number| spans[number].clone());
            if at_once {
                export(&exporter, spans.to_vec()).unwrap();
            } else {
                for span in spans {
                    export(&exporter, vec![span]).unwrap();
                }
            }
            exporter.shutdown_with_timeout(LONG).unwrap();
            assert_flawless(&server, 3);
            assert_eq!((roots(&server, "first"), roots(&server, "second")), (0, 0), "{order:?}");
        }
    }
}

/// The span context that is remembered is what the application may keep for long.
#[test]
fn a_parent_may_be_known_by_its_ids_alone() {
    let server = server();
    let (provider, _) = counted_provider(config(&server));
    let tracer = provider.tracer("late");
    let mut parent = tracer.start_with_context("parent", &Context::new());
    parent.end();
    (0..2000).for_each(|_| tracer.start_with_context("other", &Context::new()).end());
    let ids = parent.span_context();
    let ids = SpanContext::new(ids.trace_id(), ids.span_id(), TraceFlags::SAMPLED, false, TraceState::NONE);
    tracer.start_with_context("child", &Context::new().with_remote_span_context(ids)).end();
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_eq!(roots(&server, "child"), 0);
}
