//! Scripted trouble, and how it counts.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};

use crate::client::{post, root, send, send_parts, Parts};

#[test]
fn statuses_come_in_order_and_store_nothing() {
    let local = LocalLangSmith::start().unwrap();
    local.respond([Fault::status(503).times(2), Fault::status(429), Fault::status(500).times(0)]);
    let statuses: Vec<_> = (0..4).map(|_| send_parts(&local, post(&root(0))).unwrap()).collect();
    assert_eq!(statuses, [503, 503, 429, 202]);
    let run = &local.runs()[0];
    assert_eq!(run.posts, 1);
    assert_eq!(local.violations(), Vec::<String>::new());
    let seen: Vec<_> = local.requests().iter().map(|request| request.status).collect();
    assert_eq!(seen, [Some(503), Some(503), Some(429), Some(202)]);
}

#[test]
fn headers_and_body_of_an_answer() {
    let local = LocalLangSmith::start().unwrap();
    let fault = Fault::status(403).header("Retry-After", "7").body("{\"error\":\"no\"}");
    local.respond(fault);
    let (status, answer) = send(&local, "POST", "/runs", &[], b"{}").unwrap();
    assert_eq!(status, 403);
    assert!(answer.to_lowercase().contains("retry-after: 7"), "{answer}");
    assert!(answer.ends_with("{\"error\":\"no\"}"), "{answer}");
}

#[test]
fn forever_lasts_until_the_next_script() {
    let local = LocalLangSmith::start().unwrap();
    local.respond(Fault::status(500).forever());
    for _ in 0..3 {
        assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 500);
    }
    local.respond([]);
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 202);
}

#[test]
fn a_scripted_success_or_conflict_stores() {
    for status in [200, 409] {
        let local = LocalLangSmith::start().unwrap();
        local.respond(Fault::status(status));
        assert_eq!(send_parts(&local, post(&root(0))).unwrap(), status);
        assert_eq!(local.received(), 1);
        // Either is an answer after which the run may not come again.
        assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 409);
        assert_eq!(local.violations().len(), 1);
    }
}

#[test]
fn closed_before_the_answer_means_never_stored() {
    let local = LocalLangSmith::start().unwrap();
    local.respond(Fault::close_before_answer());
    assert!(send_parts(&local, post(&root(0))).is_err());
    assert_eq!(local.received(), 0);
    assert_eq!(local.requests()[0].status, None);
    assert_eq!(local.requests()[0].run_ids.len(), 1);
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 202);
    assert_eq!(local.violations(), Vec::<String>::new());
}

#[test]
fn a_lost_answer_makes_a_resend_right_once() {
    let local = LocalLangSmith::start().unwrap();
    local.respond(Fault::close_after_storing());
    assert!(send_parts(&local, post(&root(0))).is_err());
    assert_eq!(local.received(), 1);
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 409);
    assert_eq!(local.violations(), Vec::<String>::new());
    assert_eq!(local.runs()[0].posts, 2);
    // Now it was told, by the 409.
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 409);
    assert_eq!(local.violations().len(), 1);
}

#[test]
fn a_patch_must_wait_for_the_answer_to_its_post() {
    let local = LocalLangSmith::start().unwrap();
    local.respond(Fault::close_after_storing());
    assert!(send_parts(&local, post(&root(0))).is_err());
    let patch = || Parts::default().run("patch", &root(0));
    send_parts(&local, patch()).unwrap();
    let violations = local.violations();
    assert!(violations[0].contains("before its post was answered"), "{violations:?}");
    send_parts(&local, post(&root(0))).unwrap();
    send_parts(&local, patch()).unwrap();
    assert_eq!(local.violations().len(), 1);
}

#[test]
fn reset_while_the_body_is_on_its_way() {
    let local = LocalLangSmith::start().unwrap();
    local.respond(Fault::reset_before_body());
    let address = local.endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST /runs/multipart HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let started = Instant::now();
    let broken = loop {
        match stream.write_all(&[b' '; 4096]) {
            Ok(()) if started.elapsed() < Duration::from_secs(10) => {}
            outcome => break outcome,
        }
    };
    let kind = broken.unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind:?}");
    assert_eq!(local.requests().len(), 1);
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 202);
}

#[test]
fn a_client_that_stops_waiting_has_delivered() {
    let local = LocalLangSmith::start().unwrap();
    local.respond(Fault::ok().delay(Duration::from_secs(60)));
    let body = post(&root(0)).finish();
    let address = local.endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /runs/multipart HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        crate::client::content_type(),
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    assert!(local.wait_for_runs(1, Duration::from_secs(5)));
    drop(stream);
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 409);
    assert_eq!(local.violations(), Vec::<String>::new());
    // Dropping the receiver does not wait for the minute to pass.
    let started = Instant::now();
    drop(local);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn delay_and_latency_add_up() {
    let local = LocalLangSmith::start().unwrap();
    local.latency(Duration::from_millis(60));
    local.respond(Fault::status(502).delay(Duration::from_millis(60)));
    let started = Instant::now();
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 502);
    assert!(started.elapsed() >= Duration::from_millis(120));
    let started = Instant::now();
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 202);
    assert!(started.elapsed() >= Duration::from_millis(60));
    // Answered late is answered.
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 409);
    assert_eq!(local.violations().len(), 1);
}

#[test]
fn faults_for_info_are_its_own() {
    let local = LocalLangSmith::start().unwrap();
    local.respond(Fault::status(503));
    let ask = || send(&local, "GET", "/info", &[], b"");
    let (status, answer) = ask().unwrap();
    assert_eq!(status, 200);
    assert!(answer.contains("\"size_limit_bytes\":20971520"), "{answer}");
    local.respond_info([Fault::status(404), Fault::close_before_answer(), Fault::status(200).body("{}")]);
    assert_eq!(ask().unwrap().0, 404);
    assert!(ask().is_err());
    assert!(ask().unwrap().1.ends_with("{}"));
    assert_eq!(send_parts(&local, post(&root(0))).unwrap(), 503);
}
