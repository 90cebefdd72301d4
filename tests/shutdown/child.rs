//! Processes that end, one way or another, and one that is frozen in between.
//!
//! The children are this very program: the ignored test below, told by a variable what to do.

use crate::common::{assert_flawless, eventually, server, LONG};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Config, LangSmithSpanProcessor};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const TASK: &str = "SHUTDOWN_TEST_TASK";

/// This program, with a task.
pub(crate) fn helper(task: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", "child::the_child", "--ignored", "--nocapture", "--test-threads=1"]).env(TASK, task);
    command
}

pub(crate) fn sends_to(mut command: Command, server: &LocalLangSmith) -> Command {
    command.env("LANGSMITH_API_KEY", "any").env("LANGSMITH_ENDPOINT", server.endpoint());
    command
}

#[test]
#[ignore = "what the other tests start as a process of its own"]
fn the_child() {
    let task = std::env::var(TASK).expect("the other tests set it");
    if task == "threads" {
        return crate::states::threads_end();
    }
    #[cfg(unix)]
    if let Some(task) = task.strip_prefix("fork, ") {
        return crate::forks::task(task);
    }
    // Nothing goes out by itself.
    let config = Config::from_env().unwrap().with_flush_interval(Duration::from_secs(3600));
    let provider =
        SdkTracerProvider::builder().with_span_processor(LangSmithSpanProcessor::new(config).unwrap()).build();
    let work = |name: &'static str| provider.tracer("child").in_span(name, |_| ());
    work("before");
    match task.as_str() {
        "last line" => provider.shutdown().unwrap(),
        "no shutdown" => drop(provider),
        "exit" => std::process::exit(7),
        "exit after flush" => {
            provider.force_flush().unwrap();
            std::process::exit(7);
        }
        // Whatever is dropped on the way out is dropped while the thread panics.
        "panic" => {
            let _provider = provider;
            panic!("as applications do");
        }
        "panic in a span" => {
            let tracer = provider.tracer("child");
            let _provider = provider;
            tracer.in_span("cut short", |_| panic!("as applications do"));
        }
        // An invocation, a freeze while nothing runs, another invocation.
        "lambda" => {
            provider.force_flush().unwrap();
            println!("\nfrozen");
            std::io::stdout().flush().unwrap();
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            work("after");
            provider.force_flush().unwrap();
            work("at last");
            provider.shutdown().unwrap();
        }
        // It is frozen while a request is under way.
        "frozen amid a request" => provider.force_flush().unwrap(),
        other => panic!("no such task: {other}"),
    }
}

pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > LONG {
            child.kill().unwrap();
            panic!("the child hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the child to its end. Says whether it ended well, and how long that took.
fn ends(task: &str, server: &LocalLangSmith) -> (Option<i32>, Duration) {
    let start = Instant::now();
    let mut child =
        sends_to(helper(task), server).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    (wait(&mut child).code(), start.elapsed())
}

/// Starting a process takes its time too.
const START: Duration = Duration::from_secs(10);

#[test]
fn as_the_last_line() {
    for task in ["last line", "no shutdown"] {
        let server = server();
        let (code, _) = ends(task, &server);
        assert_eq!(code, Some(0), "{task}");
        assert_flawless(&server, 1);
    }
}

#[test]
fn while_a_panic_unwinds() {
    for (task, runs) in [("panic", 1), ("panic in a span", 2)] {
        let server = server();
        let (code, _) = ends(task, &server);
        assert_eq!(code, Some(101), "{task}: the panic is the application's own");
        assert_flawless(&server, runs);
        // And with nobody there it does not hang.
        let stalled = crate::common::server();
        stalled.latency(2 * LONG);
        let (code, taken) = ends(task, &stalled);
        assert_eq!(code, Some(101), "{task}");
        assert!(taken < Duration::from_secs(5) + START, "{task}: {taken:?}");
    }
}

#[test]
fn an_exit_without_a_shutdown() {
    let server = server();
    server.latency(2 * LONG);
    let (code, taken) = ends("exit", &server);
    assert_eq!(code, Some(7));
    assert!(taken < START, "nobody waits: {taken:?}");
    server.latency(Duration::ZERO);
    assert_eq!(ends("exit after flush", &server).0, Some(7));
    assert_flawless(&server, 1);
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

/// As a function's host does it: nothing runs between two invocations, and connections are gone by the next one.
#[cfg(unix)]
#[test]
fn a_freeze_between_two_invocations() {
    let first = server();
    let port: u16 = first.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    let mut child = sends_to(helper("lambda"), &first)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    // It is kept: the child still writes to it.
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line == "frozen"));
    assert_flawless(&first, 1);
    signal(&child, "STOP");
    first.stop();
    let mut second = None;
    eventually("the port is free again", || {
        second = LocalLangSmith::start_on(port).ok();
        second.is_some()
    });
    let second = second.unwrap();
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "CONT");
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert_eq!(wait(&mut child).code(), Some(0), "{:?}", said.collect::<Vec<_>>());
    assert_flawless(&second, 2);
}

#[cfg(unix)]
#[test]
fn a_freeze_amid_a_request() {
    let server = server();
    server.respond(Fault::status(503).delay(Duration::from_millis(300)));
    let mut child = sends_to(helper("frozen amid a request"), &server)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    eventually("a request is under way", || server.requests().iter().any(|request| request.method == "POST"));
    signal(&child, "STOP");
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, "CONT");
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_flawless(&server, 1);
}
