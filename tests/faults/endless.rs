//! Answers that have no end, or come to it too late.

use crate::common::raw::{read_body, Connection, Head, Raw, NOT_FOUND, TAKEN};
use crate::common::{assert_adds_up, eventually, in_time, run, KEY, LONG};
use opentelemetry_langsmith::{Client, Config, DropReason, FlushError, Stats};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// What the systems on both sides keep for a connection may be sent although nobody reads it.
const UNREAD: u64 = 16 << 20;

/// An answer: what it begins with, and what is said again and again after that; nothing, if that is empty.
#[derive(Clone, Copy)]
struct Answer {
    begin: &'static str,
    again: &'static str,
}

/// How many bytes of such an answer were taken, and whether the client has let go of it.
#[derive(Clone, Default)]
struct Said(Arc<(AtomicU64, AtomicBool)>);

impl Said {
    fn say(&self, answer: Answer, pause: Duration, connection: &mut Connection) -> io::Result<()> {
        let result = self.say_on(answer, pause, connection);
        self.0 .1.store(true, Ordering::SeqCst);
        result
    }

    fn say_on(&self, Answer { begin, again }: Answer, pause: Duration, connection: &mut Connection) -> io::Result<()> {
        connection.get_mut().write_all(begin.as_bytes())?;
        if again.is_empty() {
            // Until the client closes it.
            return Err(io::copy(connection, &mut io::sink()).err().unwrap_or(io::ErrorKind::UnexpectedEof.into()));
        }
        let much = if pause.is_zero() { again.repeat((64 << 10) / again.len() + 1) } else { again.to_owned() };
        // More than any machine has, and an end for a client that would never let go.
        while self.0 .0.load(Ordering::SeqCst) < 1 << 33 {
            connection.get_mut().write_all(much.as_bytes())?;
            self.0 .0.fetch_add(much.len() as u64, Ordering::SeqCst);
            std::thread::sleep(pause);
        }
        Err(io::ErrorKind::OutOfMemory.into())
    }

    fn assert_let_go(&self, what: &str) {
        eventually(&format!("{what}: it is let go"), || self.0 .1.load(Ordering::SeqCst));
        let bytes = self.0 .0.load(Ordering::SeqCst);
        assert!(bytes < UNREAD, "{what}: {bytes} bytes were read");
    }
}

fn config(server: &Raw) -> Config {
    Config::default()
        .with_api_key(KEY)
        .with_endpoint(server.endpoint())
        .with_flush_interval(Duration::from_millis(10))
        .with_retry_deadline(Duration::ZERO)
        // So that nothing below ends for that.
        .with_request_timeout(100 * LONG)
}

/// One run, which is answered like that.
fn answered(what: &str, answer: Answer, pause: Duration, config: impl FnOnce(Config) -> Config) -> Stats {
    let said = Said::default();
    let told = said.clone();
    let server = Raw::start(move |head, connection| {
        read_body(head, connection)?;
        if head.is_ingest {
            told.say(answer, pause, connection)
        } else {
            connection.get_mut().write_all(NOT_FOUND)
        }
    });
    let client = Client::new(config(self::config(&server))).unwrap();
    client.submit(run("one".into(), 10)).unwrap();
    let flushed = client.flush(LONG);
    assert!(!matches!(flushed, Err(FlushError::Timeout { .. })), "{what}: {flushed:?}");
    said.assert_let_go(what);
    let stats = client.stats();
    assert_adds_up(&stats);
    let _ = client.shutdown(LONG);
    stats
}

#[test]
fn a_run_is_delivered_when_the_head_says_so() {
    in_time(|| {
        let head = "HTTP/1.1 202 Accepted\r\n";
        for (what, begin, again) in [
            ("endless", "Transfer-Encoding: chunked\r\n\r\n", "8\r\n01234567\r\n"),
            ("endless until it is closed", "\r\n", "01234567"),
            ("very long", "Content-Length: 99999999999999\r\n\r\n", "01234567"),
            ("stalled", "Content-Length: 100\r\n\r\n", ""),
            ("stalled in a chunk", "Transfer-Encoding: chunked\r\n\r\n8\r\n012", ""),
            ("endless in a chunk's head", "Transfer-Encoding: chunked\r\n\r\n1;", "extension"),
            ("endless in a trailer", "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: trailer\r\n"),
        ] {
            let begin = format!("{head}{begin}").leak();
            let stats = answered(what, Answer { begin, again }, Duration::ZERO, |config| config);
            assert_eq!(stats.sent, 1, "{what}: {stats}");
        }
    });
}

#[test]
fn a_refusal_is_understood_before_it_has_ended() {
    in_time(|| {
        let head = "HTTP/1.1 422 Unprocessable Entity\r\n";
        for (what, begin, again) in [
            ("endless", "Transfer-Encoding: chunked\r\n\r\n", "8\r\n01234567\r\n"),
            ("stalled", "Content-Length: 100\r\n\r\nThe run is", ""),
        ] {
            let begin = format!("{head}{begin}").leak();
            let stats = answered(what, Answer { begin, again }, Duration::ZERO, |config| config);
            assert_eq!(stats.dropped(DropReason::Refused), 1, "{what}: {stats}");
        }
    });
}

#[test]
fn a_head_that_has_no_end_is_no_answer() {
    in_time(|| {
        let soon = |config: Config| config.with_request_timeout(Duration::from_millis(300));
        for (what, begin, again, pause) in [
            ("headers", "HTTP/1.1 202 Accepted\r\n", "A: header\r\n", 0),
            ("a header", "HTTP/1.1 202 Accepted\r\nA: ", "header", 0),
            ("a status", "HTTP/1.1 202 ", "Accepted", 0),
            ("byte by byte", "HTTP/1.1 202 Accepted\r\nA: ", "a", 5),
            ("preliminary answers", "", "HTTP/1.1 103 Early Hints\r\n\r\n", 5),
            ("nothing at all", "", "", 0),
        ] {
            let stats = answered(what, Answer { begin, again }, Duration::from_millis(pause), soon);
            assert_eq!(stats.dropped(DropReason::Unreachable), 1, "{what}: {stats}");
        }
    });
}

#[test]
fn what_a_server_says_of_itself_is_short() {
    in_time(|| {
        for (what, begin, again) in [
            ("endless", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "8\r\n        \r\n"),
            ("very long", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", "        "),
        ] {
            let said = Said::default();
            let told = said.clone();
            let server = Raw::start(move |head: Head, connection: &mut Connection| {
                read_body(head, connection)?;
                if head.is_ingest {
                    return connection.get_mut().write_all(TAKEN);
                }
                told.say(Answer { begin, again }, Duration::ZERO, connection)
            });
            let client = Client::new(config(&server)).unwrap();
            client.submit(run("one".into(), 10)).unwrap();
            client.flush(LONG).unwrap();
            said.assert_let_go(what);
            client.submit(run("another".into(), 10)).unwrap();
            client.shutdown(LONG).unwrap();
            assert_eq!(client.stats().sent, 2, "{what}");
        }
    });
}
