//! The matrix: what the server does, how often it is tried, what is counted, and what is logged.
//!
//! One run for each row, which is flushed and then, if it is still here, given its last chance by a shutdown.

use crate::common::log::Log;
use crate::common::{assert_adds_up, eventually, in_time, run, server, KEY, LONG};
use crate::socket::{Act, Socket};
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, Config, DropReason};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

/// How a row ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Sent,
    Lost(DropReason),
}

use DropReason::{RateLimited, Refused, Unauthorized, Unreachable};
use End::{Lost, Sent};

/// Where the run goes, and how often it is tried there. `None`: nobody counts.
struct Place {
    endpoint: String,
    tries: Box<dyn Fn() -> Option<usize>>,
    /// What nobody may take back before the end.
    _server: Option<std::sync::Arc<LocalLangSmith>>,
}

fn scripted(script: impl IntoIterator<Item = Fault>) -> Place {
    let server = std::sync::Arc::new(server());
    server.respond(script);
    let seen = std::sync::Arc::clone(&server);
    let tries = move || Some(seen.requests().iter().filter(|request| request.method == "POST").count());
    Place { endpoint: server.endpoint(), tries: Box::new(tries), _server: Some(server) }
}

fn broken(act: Act, times: usize) -> Place {
    let socket = Socket::start(act, times);
    Place {
        endpoint: format!("http://{}", socket.address),
        tries: Box::new(move || Some(socket.tries())),
        _server: None,
    }
}

fn at(endpoint: String) -> Place {
    Place { endpoint, tries: Box::new(|| None), _server: None }
}

/// Where nobody listens.
fn nobody() -> Place {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    at(format!("http://{}", listener.local_addr().unwrap()))
}

/// `tries`: how many requests are expected; 0 for at least one. `log`: what the one line says; empty for no line.
fn row(name: &str, place: Place, tries: usize, end: End, log: &str) {
    let lines = Log::start("info");
    let Place { endpoint, tries: tried, _server } = place;
    // Some lines name the endpoint and some the run. The port may have been another server's before.
    let port = format!(":{}", endpoint.rsplit(':').next().unwrap_or_default());
    let earlier = lines.with(&port).len();
    let config = Config::default()
        .with_api_key(KEY)
        .with_endpoint(&endpoint)
        .with_flush_interval(Duration::from_secs(3600))
        .with_retry_waits(Duration::from_millis(5), Duration::from_millis(50))
        .with_request_timeout(if name.contains("stall") { Duration::from_millis(100) } else { LONG })
        // What nobody ever takes is tried for so long.
        .with_retry_deadline(if end == Lost(Unreachable) { Duration::from_millis(300) } else { LONG });
    let client = Client::new(config).unwrap();
    // Larger than what sockets hold, and of a kind that does not compress.
    let noise: String = std::iter::repeat_with(fastrand::alphanumeric).take(4 << 20).collect();
    let large = ["amid", "before the body", "slow", "large"].iter().any(|word| name.contains(word));
    let text = if large { noise } else { "a small one".into() };
    let the_run = opentelemetry_langsmith::Run::builder(name.to_owned(), opentelemetry_langsmith::RunType::Chain)
        .outputs(&text)
        .end_now()
        .build()
        .unwrap();
    client.submit(the_run).unwrap();
    let _ = client.flush(LONG);
    let _ = client.shutdown(LONG);
    let stats = client.stats();
    assert_adds_up(&stats);
    let (sent, lost) = match end {
        Sent => (1, 0),
        Lost(reason) => (0, stats.dropped(reason)),
    };
    assert_eq!((stats.submitted, stats.sent, stats.dropped_total()), (1, sent, 1 - sent), "{name}: {stats:?}");
    assert_eq!(lost, 1 - sent, "{name}: {stats:?}");
    match (tried(), tries) {
        (Some(tried), 0) => assert!(tried > 1, "{name}: {tried} tries"),
        (Some(tried), tries) => assert_eq!(tried, tries, "{name}"),
        (None, _) => {}
    }
    let about = || {
        let mut about = lines.with(&port).split_off(earlier);
        about.extend(lines.with(&format!("{name:?}")));
        about
    };
    if log.is_empty() {
        assert_eq!(about(), Vec::<String>::new(), "{name}");
        return;
    }
    eventually(&format!("{name}: a line with {log:?}: {:#?}", about()), || {
        about().iter().any(|line| line.contains(log))
    });
    let said = about().into_iter().filter(|line| line.contains(log)).count();
    assert_eq!(said, 1, "{name}: {:#?}", about());
}

#[test]
fn answers_that_are_well() {
    in_time(|| {
        for status in [200, 201, 202, 204] {
            row(&format!("a {status}"), scripted(Fault::status(status)), 1, Sent, "");
        }
        // They are there already.
        row("a 409", scripted(Fault::status(409)), 1, Sent, "");
    });
}

#[test]
fn statuses_that_pass() {
    in_time(|| {
        for status in [408, 425, 429, 499, 500, 502, 503, 504, 507, 521, 599] {
            let log = format!("does not take runs: {status}");
            row(&format!("two of {status}"), scripted(Fault::status(status).times(2)), 3, Sent, &log);
        }
    });
}

#[test]
fn statuses_that_do_not_pass_in_time() {
    in_time(|| {
        for status in [408, 425, 499, 500, 502, 503, 504, 599] {
            let place = scripted(Fault::status(status).forever());
            let log = format!("runs are being dropped: {}", place.endpoint);
            row(&format!("{status} for ever"), place, 0, Lost(Unreachable), &log);
        }
    });
}

/// The flush is told, and the shutdown asks once more.
#[test]
fn statuses_that_a_person_has_to_deal_with() {
    in_time(|| {
        for status in [401, 403] {
            let place = scripted(Fault::status(status).forever());
            row(&format!("{status} for ever"), place, 2, Lost(Unauthorized), "LANGSMITH_API_KEY");
            let place = scripted(Fault::status(status));
            row(&format!("one {status}"), place, 2, Sent, "eu.api., apac.api. or aws.api.");
        }
        let workspace = Fault::status(403).body(r#"{"error":"org_scoped_key_requires_workspace"}"#).forever();
        row("no workspace", scripted(workspace), 2, Lost(Unauthorized), "LANGSMITH_WORKSPACE_ID");
        let quota = Fault::status(429).body(r#"{"detail":"Monthly unique traces usage limit exceeded"}"#).forever();
        row("no quota", scripted(quota), 2, Lost(RateLimited), "quota or a usage limit is used up");
    });
}

#[test]
fn statuses_that_speak_of_the_batch() {
    in_time(|| {
        for status in [400, 422] {
            let place = scripted(Fault::status(status).body("no such run type").forever());
            // It may be about the compression.
            row(&format!("a refused {status}"), place, 2, Lost(Refused), "no such run type; it is dropped");
        }
        // Whole, and then with its largest field cut.
        let place = scripted(Fault::status(413).body("too much").forever());
        row("large for ever", place, 2, Lost(Refused), "too much; it is dropped");
        row("large once", scripted(Fault::status(413)), 2, Sent, "");
        row("an old server", scripted(Fault::status(404)), 2, Sent, "has no /runs/multipart");
        row("no server", scripted(Fault::status(404).forever()), 2, Lost(Refused), "check LANGSMITH_ENDPOINT");
        row("no zstd", scripted(Fault::status(415)), 2, Sent, "");
    });
}

#[test]
fn statuses_that_nobody_expects() {
    in_time(|| {
        for status in [300, 301, 302, 304, 307, 402, 405, 406, 410, 411, 418, 431, 451] {
            let place = scripted(Fault::status(status).header("location", "http://127.0.0.1:9/").forever());
            // That may be about the compression.
            let tries = if status == 406 { 2 } else { 1 };
            row(&format!("a {status}"), place, tries, Lost(Refused), &format!("answered {status}"));
        }
    });
}

#[test]
fn connections_that_break() {
    in_time(|| {
        let trying = "does not take runs: ";
        for (name, act) in [
            ("reset before the body", Act::ResetBeforeBody),
            ("reset amid the body", Act::ResetAmidBody),
            ("reset after the body", Act::ResetAfterBody),
            ("closed without an answer", Act::Close),
            ("a stalled answer", Act::Stall),
            ("half a status line", Act::Say("HTTP/1.1 20")),
            ("half a head", Act::Say("HTTP/1.1 202 Accepted\r\nContent-Le")),
            ("no HTTP", Act::Say("SSH-2.0-OpenSSH_9.9\r\n")),
            ("half a 503", Act::Say("HTTP/1.1 503 Unavailable\r\nContent-Length: 1000\r\n\r\n{\"de")),
        ] {
            row(&format!("{name}, twice"), broken(act, 2), 3, Sent, trying);
            let log = "runs are being dropped: ";
            row(&format!("{name}, for ever"), broken(act, usize::MAX), 0, Lost(Unreachable), log);
        }
    });
}

/// The status says it all, and it has come.
#[test]
fn half_an_answer_is_an_answer() {
    in_time(|| {
        let half = Act::Say("HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\n{\"mess");
        row("half a 202", broken(half, usize::MAX), 1, Sent, "");
        row("a slow reader", broken(Act::ReadSlowly(64 << 10), usize::MAX), 1, Sent, "");
    });
}

#[test]
fn servers_that_are_not_there() {
    in_time(|| {
        let dropped = "runs are being dropped: ";
        row("nobody listens", nobody(), 0, Lost(Unreachable), dropped);
        row("no such host", at("http://langsmith.invalid:4711".into()), 0, Lost(Unreachable), dropped);
        let plain = server();
        let secure = plain.endpoint().replace("http://", "https://");
        row("no TLS", at(secure), 0, Lost(Unreachable), dropped);
        assert_eq!(plain.requests().len(), 0);
    });
}

#[test]
fn what_is_logged_names_the_cause() {
    in_time(|| {
        for (place, cause) in [
            (nobody(), "no connection"),
            (broken(Act::Stall, usize::MAX), "no answer in time"),
            (broken(Act::Close, usize::MAX), "the request failed"),
        ] {
            let config = Config::default()
                .with_api_key(KEY)
                .with_endpoint(&place.endpoint)
                .with_request_timeout(Duration::from_millis(200))
                .with_retry_deadline(Duration::from_millis(100));
            let client = Client::new(config).unwrap();
            client.submit(run("lost".into(), 10)).unwrap();
            let error = client.flush(LONG).unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
            let _ = client.shutdown(LONG);
        }
    });
}
