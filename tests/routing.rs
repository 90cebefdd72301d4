//! Which project a trace goes to, and several workspaces in one process.

#[path = "common/mod.rs"]
mod common;

use common::{assert_adds_up, assert_flawless, at, config, in_time, server, LONG};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config, LangSmithExporter, LangSmithSpanProcessor, Region};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use opentelemetry_sdk::Resource;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Traces by either way in, with a resource that names a project if `resource` says so.
fn pipeline(config: Config, live: bool, resource: Option<&'static str>) -> SdkTracerProvider {
    let attributes = resource.map(|project| KeyValue::new("langsmith.project", project));
    let resource = Resource::builder_empty().with_attributes(attributes).build();
    let builder = SdkTracerProvider::builder().with_resource(resource);
    if live {
        builder.with_span_processor(LangSmithSpanProcessor::new(config).unwrap()).build()
    } else {
        builder.with_batch_exporter(LangSmithExporter::new(config).unwrap()).build()
    }
}

fn start(
    tracer: &impl Tracer<Span: Send + Sync + 'static>,
    name: &'static str,
    parent: &Context,
    attributes: &[KeyValue],
) -> Context {
    let builder = tracer.span_builder(name).with_attributes(attributes.to_vec());
    parent.with_span(builder.start_with_context(tracer, parent))
}

fn text<'a>(span: &'a SpanData, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == name).map(|attribute| attribute.value.as_str())
}

/// The project of a trace whose root has these attributes, and a child and a grandchild.
fn project_of(live: bool, hook: bool, resource: Option<&'static str>, attributes: &[KeyValue]) -> String {
    let server = server();
    let mut config = config(&server).with_project("configured");
    if hook {
        config = config.with_project_for(|span| text(span, "tenant").map(|tenant| format!("tenant {tenant}")));
    }
    let provider = pipeline(config, live, resource);
    let tracer = provider.tracer("test");
    let root = start(&tracer, "root", &Context::new(), attributes);
    // A child has no say: the trace is in a project already.
    let child = start(&tracer, "child", &root, &[KeyValue::new("tenant", "of a child")]);
    start(&tracer, "grandchild", &child, &[KeyValue::new("langsmith.trace.session_name", "of a child")]).span().end();
    child.span().end();
    root.span().end();
    provider.shutdown_with_timeout(LONG).unwrap();
    assert_flawless(&server, 3);
    let projects: BTreeSet<_> = server.runs().into_iter().filter_map(|run| run.session_name).collect();
    assert_eq!(projects.len(), 1, "{projects:?}");
    projects.into_iter().next().unwrap()
}

#[test]
fn the_most_particular_source_names_the_project() {
    let named = KeyValue::new("langsmith.trace.session_name", "named");
    let tenant = KeyValue::new("tenant", 7);
    for live in [true, false] {
        let project = |hook, resource, attributes: &[KeyValue]| project_of(live, hook, resource, attributes);
        assert_eq!(project(false, None, &[]), "configured");
        assert_eq!(project(false, Some("resource"), &[]), "resource");
        assert_eq!(project(true, Some("resource"), &[]), "resource");
        assert_eq!(project(true, Some("resource"), std::slice::from_ref(&tenant)), "tenant 7");
        assert_eq!(project(true, Some("resource"), &[named.clone(), tenant.clone()]), "named");
        let telemetry = KeyValue::new("ai.telemetry.metadata.ls_project_name", "of the AI SDK");
        assert_eq!(project(true, Some("resource"), &[telemetry]), "of the AI SDK");
        // No project has such a name.
        assert_eq!(project(true, None, &[KeyValue::new("tenant", "x".repeat(2000))]), "configured");
    }
}

#[test]
fn a_hook_that_panics_has_no_answer() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for live in [true, false] {
        let server = server();
        let provider = pipeline(config(&server).with_project_for(|_| panic!("on purpose")), live, None);
        start(&provider.tracer("test"), "root", &Context::new(), &[]).span().end();
        provider.shutdown_with_timeout(LONG).unwrap();
        assert_flawless(&server, 1);
        assert_eq!(server.runs()[0].session_name.as_deref(), Some("default"));
    }
    std::panic::set_hook(hook);
}

#[test]
fn a_trace_that_began_elsewhere_stays_in_its_project() {
    let (caller, server) = (server(), server());
    let calling = LangSmithSpanProcessor::new(config(&caller).with_project("theirs")).unwrap();
    let handle = calling.handle();
    let calling = SdkTracerProvider::builder().with_span_processor(calling).build();
    let outer = start(&calling.tracer("caller"), "outer", &Context::new(), &[]);
    let mut headers = HashMap::new();
    handle.propagator().inject_context(&outer, &mut headers);

    let ours = config(&server).with_project("ours").with_project_for(|span| Some(format!("hook for {}", span.name)));
    let serving = LangSmithSpanProcessor::new(ours).unwrap();
    let propagator = serving.handle().propagator();
    let serving = SdkTracerProvider::builder().with_span_processor(serving).build();
    let tracer = serving.tracer("service");
    let (mut trace, mut baggage) = (headers.clone(), headers.clone());
    trace.remove("baggage");
    baggage.remove("langsmith-trace");
    start(&tracer, "joined", &propagator.extract(&headers), &[]).span().end();
    // Without baggage nobody knows its project; the hook does not know it either.
    start(&tracer, "silent", &propagator.extract(&trace), &[]).span().end();
    // Baggage of a caller without a trace counts before the hook; other traces are asked about.
    start(&tracer, "told", &propagator.extract(&baggage), &[]).span().end();
    // So are those for which nobody but this process says something.
    let here = Context::new().with_baggage([KeyValue::new("langsmith-project", "theirs")]);
    start(&tracer, "here", &here, &[]).span().end();
    start(&tracer, "own", &Context::new(), &[]).span().end();
    outer.span().end();
    calling.shutdown().unwrap();
    serving.shutdown().unwrap();
    let project = |name: &str| server.run(name).unwrap().session_name.unwrap();
    assert_eq!(project("joined"), "theirs");
    assert_eq!(project("silent"), "ours");
    assert_eq!(project("told"), "theirs");
    assert_eq!(project("here"), "hook for here");
    assert_eq!(project("own"), "hook for own");
}

/// One tenant: a workspace with a key of its own, and the client that sends there.
struct Tenant {
    server: LocalLangSmith,
    client: Client,
}

/// Adds a pipeline for a tenant that takes the traces of which `tenant` says so.
fn tenants(live: bool) -> (SdkTracerProvider, Vec<Tenant>) {
    let mut builder = SdkTracerProvider::builder();
    let mut tenants = Vec::new();
    for number in 0..3_i64 {
        let server = server();
        let config = config(&server)
            .with_api_key(format!("key-{number}"))
            .with_workspace_id(format!("workspace-{number}"))
            .with_project(format!("project-{number}"))
            .with_filter(opentelemetry_langsmith::SpanFilter::attribute_value("tenant", number));
        let client;
        if live {
            let processor = LangSmithSpanProcessor::new(config).unwrap();
            client = processor.handle().client();
            builder = builder.with_span_processor(processor);
        } else {
            let exporter = LangSmithExporter::new(config).unwrap();
            client = exporter.client();
            builder = builder.with_batch_exporter(exporter);
        }
        tenants.push(Tenant { server, client });
    }
    (builder.build(), tenants)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Spans of several tenants, at once and interleaved: each run arrives at its receiver alone.
    #[test]
    fn workspaces_never_mix(
        spans in prop::collection::vec((0..3_i64, prop::option::of(any::<prop::sample::Index>()), any::<u16>()), 1..60),
        live: bool,
    ) {
        in_time(move || {
            let (provider, tenants) = tenants(live);
            let tracer = provider.tracer("test");
            let mut open: Vec<Context> = Vec::new();
            for (number, (tenant, above, _)) in spans.iter().enumerate() {
                // Under any other span, of whichever tenant.
                let above = above.filter(|_| number > 0).map(|above| open[above.index(number)].clone());
                let parent = above.unwrap_or_default();
                let builder = tracer
                    .span_builder(number.to_string())
                    .with_start_time(at(i64::try_from(number).unwrap()))
                    .with_attributes([KeyValue::new("tenant", *tenant)]);
                open.push(parent.with_span(builder.start_with_context(&tracer, &parent)));
            }
            let mut order: Vec<usize> = (0..spans.len()).collect();
            order.sort_by_key(|number| spans[*number].2);
            for number in order {
                open[number].span().end();
            }
            provider.shutdown_with_timeout(LONG).unwrap();

            let mut received = BTreeMap::new();
            for (number, Tenant { server, client }) in (0_i64..).zip(&tenants) {
                assert_eq!(server.violations(), Vec::<String>::new());
                for request in server.requests().iter().filter(|request| request.path != "/info") {
                    assert_eq!(request.header("x-api-key"), Some(&*format!("key-{number}")));
                    assert_eq!(request.header("x-tenant-id"), Some(&*format!("workspace-{number}")));
                }
                for run in server.runs() {
                    assert_eq!(run.session_name, Some(format!("project-{number}")));
                    assert!(received.insert(run.name.parse::<usize>().unwrap(), number).is_none(), "{run:?} came twice");
                }
                assert_adds_up(&client.stats());
            }
            let expected: BTreeMap<_, _> = spans.iter().enumerate().map(|(number, (tenant, ..))| (number, *tenant)).collect();
            assert_eq!(received, expected);
        });
    }
}

#[test]
fn regions_are_endpoints() {
    for (region, host) in [
        (Region::Us, "api.smith.langchain.com"),
        (Region::Eu, "eu.api.smith.langchain.com"),
        (Region::Apac, "apac.api.smith.langchain.com"),
        (Region::AwsUs, "aws.api.smith.langchain.com"),
    ] {
        assert_eq!(region.endpoint(), format!("https://{host}"));
        let config = Config::default().with_region(region);
        assert!(format!("{config:?}").contains(host), "{config:?}");
    }
}
