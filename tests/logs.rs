//! What the person who runs the application gets to read: one line for each thing, and never the key.
//!
//! Lines are written by threads of this crate's own, so they reach the subscriber of the whole process; hence one
//! test in a program of its own.

mod common;

use base64::Engine;
use common::log::Log;
use common::{config, eventually, server, KEY, LONG};
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, Config, Run, RunType};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

/// Waits for a line with this word in it, and gives back all lines.
fn wait_for(log: &Log, word: &str) -> Vec<String> {
    let mut lines = Vec::new();
    eventually(&format!("a line with {word:?} in it"), || {
        lines.extend(log.take());
        lines.iter().any(|line| line.contains(word))
    });
    lines
}

fn submit(client: &Client) {
    for _ in 0..3 {
        let run = Run::builder("run", RunType::Chain).outputs(&"x".repeat(1000)).end_now().build().unwrap();
        let _ = client.submit(run);
    }
}

/// Three times three runs against a server that answers so.
fn trouble(log: &Log, fault: Fault, change: impl FnOnce(Config) -> Config, word: &str) -> Vec<String> {
    let server = server();
    server.respond(fault.forever());
    let client = Client::new(change(config(&server))).unwrap();
    for _ in 0..3 {
        submit(&client);
        client.flush(LONG).unwrap_err();
    }
    let mut lines = wait_for(log, word);
    client.shutdown(LONG).unwrap_err();
    lines.extend(wait_for(log, "not all of 9 runs"));
    assert_eq!(lines.iter().filter(|line| line.contains(word)).count(), 1, "told once: {lines:#?}");
    lines
}

#[test]
fn what_is_logged() {
    // Everything of everybody, what is not meant for people included.
    let log = Log::start("trace");
    let mut all = Vec::new();

    // Nothing is said when all is well.
    let well = server();
    let client = Client::new(config(&well)).unwrap();
    submit(&client);
    client.shutdown(LONG).unwrap();
    all.extend(log.take());
    assert!(!all.iter().any(|line| line.contains("opentelemetry_langsmith")), "{all:#?}");

    let lines = trouble(&log, Fault::status(401).body(format!("bad key {KEY}")), |config| config, "LANGSMITH_API_KEY");
    let line = lines.iter().find(|line| line.contains("LANGSMITH_API_KEY")).unwrap();
    assert!(line.contains("WARN") && line.contains("401") && line.contains("LANGSMITH_ENDPOINT"), "{line}");
    all.extend(lines);

    let workspace = Fault::status(403).body(r#"{"error":"org_scoped_key_requires_workspace"}"#);
    let lines = trouble(&log, workspace, |config| config, "LANGSMITH_WORKSPACE_ID");
    assert!(lines.iter().any(|line| line.contains("with_workspace_id")), "{lines:#?}");
    all.extend(lines);

    let lines = trouble(&log, Fault::status(422).body("no such run type"), |config| config, "refused run");
    assert!(lines.iter().any(|line| line.contains("no such run type")), "{lines:#?}");
    all.extend(lines);

    let short = |config: Config| config.with_retry_deadline(Duration::from_millis(100));
    all.extend(trouble(&log, Fault::status(503), short, "runs are being dropped"));

    // A full queue.
    let slow = server();
    slow.latency(2 * LONG);
    let client = Client::new(config(&slow).with_queue_bytes(65_536).with_concurrency(1)).unwrap();
    for _ in 0..200 {
        submit(&client);
    }
    let lines = wait_for(&log, "queue full");
    assert_eq!(lines.iter().filter(|line| line.contains("queue full")).count(), 1, "{lines:#?}");
    all.extend(lines);
    let _ = client.shutdown(Duration::ZERO);
    all.extend(log.take());

    all.extend(servers_that_repeat_the_key(&log));
    all.extend(endpoints_with_a_password(&log));

    for line in all {
        for secret in ["must_not_show", "lsv2_pt_0", "lsv2%5Fpt", "89abcdef", "pa55"] {
            assert!(!line.contains(secret), "{line}");
        }
        assert!(line.len() < 2000, "{line}");
    }
}

/// Far behind, so that only a part of it is read; and written in other ways.
fn servers_that_repeat_the_key(log: &Log) -> Vec<String> {
    let (first, last) = KEY.split_at(30);
    let blanks = |count| " ".repeat(count);
    let mut lines = Vec::new();
    for chunks in [
        [format!("{}{first}", blanks(1990)), last.to_owned()],
        [format!("bad key{}{}", blanks(1998), &KEY[..12]), KEY[12..].to_owned()],
        [blanks(3000), KEY.to_owned()],
        [KEY.replace('_', "%5F"), KEY.replace('_', "%255f")],
        [KEY.replace('_', "\\u005f"), KEY.replace('_', "&#95;")],
        [format!("{first}\r\n"), format!("\t{last}")],
    ] {
        let client = Client::new(Config::default().with_api_key(KEY).with_endpoint(answering_401(chunks))).unwrap();
        submit(&client);
        let error = client.flush(LONG).unwrap_err().to_string();
        lines.extend(wait_for(log, "LANGSMITH_API_KEY"));
        let _ = client.shutdown(Duration::ZERO);
        lines.extend([error, format!("{client:?}")]);
    }
    lines
}

/// A server whose answers have a body that comes in chunks.
fn answering_401(chunks: [String; 2]) -> String {
    let head = "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let [first, second] = chunks.map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    let answer = [head, &first, &second, "0\r\n\r\n"].concat();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|_| !line.trim().is_empty()) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            // A connection that breaks is the client's business.
            let _ = std::io::copy(&mut reader.take(length), &mut std::io::sink());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    endpoint
}

/// Whether they can be used or not, and whatever the server repeats of it.
fn endpoints_with_a_password(log: &Log) -> Vec<String> {
    let mut lines = Vec::new();
    for endpoint in
        ["user:pa55@host", "user:pa55/x@host", "http://user:pa55", "https://user:pa55%40host", "ftp:/user:pa55@h"]
    {
        let config = Config::default().with_api_key(KEY).with_endpoint(endpoint);
        lines.push(format!("{config:?}"));
        let error = Client::new(config).map(drop).unwrap_err();
        assert!(error.to_string().contains("LANGSMITH_ENDPOINT"), "{error}");
        lines.extend([error.to_string(), format!("{error:?}")]);
    }
    let server = answering_401(["no user pa55".into(), base64::prelude::BASE64_STANDARD.encode("user:pa55")]);
    // One slash is enough for a URL.
    for endpoint in [server.replace("http://", "http:/user:pa55@"), server.replace("http://", "http://user:pa55@")] {
        let client = Client::new(Config::default().with_api_key(KEY).with_endpoint(endpoint)).unwrap();
        submit(&client);
        lines.push(client.flush(LONG).unwrap_err().to_string());
        let told = wait_for(log, "LANGSMITH_API_KEY");
        assert!(
            told.iter().all(|line| !line.contains(&base64::prelude::BASE64_STANDARD.encode("user:pa55"))),
            "{told:#?}"
        );
        lines.extend(told);
        let _ = client.shutdown(Duration::ZERO);
    }
    lines
}
