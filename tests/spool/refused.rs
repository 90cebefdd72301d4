//! One run whose content is answered 403, as firewalls do it: all others are delivered, and it is quarantined, but only
//! when others were taken after it.

use crate::common::{assert_adds_up, eventually, in_time, LONG};
use crate::{run, Directory};
use opentelemetry_langsmith::{Client, Config};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What makes the firewall refuse a body.
const FORBIDDEN: &str = "drop table";

#[derive(Default)]
struct Book {
    /// The answer to all requests, where it is not that of the content.
    always: Option<u16>,
    taken: BTreeSet<String>,
    requests: usize,
    refused: usize,
}

/// A server behind a firewall. It does not read zstd.
struct Firewall {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

impl Firewall {
    /// Its threads end with the process.
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, book) = (listener.local_addr().unwrap(), Arc::<Mutex<Book>>::default());
        let shared = Arc::clone(&book);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let book = Arc::clone(&shared);
                // A connection that breaks is the client's business.
                std::thread::spawn(move || drop(serve(&stream, &book)));
            }
        });
        Self { address, book }
    }

    fn always(&self, status: Option<u16>) {
        self.book.lock().unwrap().always = status;
    }

    fn taken(&self) -> usize {
        self.book.lock().unwrap().taken.len()
    }

    fn refused(&self) -> usize {
        self.book.lock().unwrap().refused
    }

    fn config(&self, directory: &Directory) -> Config {
        Config::default()
            .with_api_key("any")
            .with_endpoint(format!("http://{}", self.address))
            .with_spool_dir(directory.spool())
            .without_compression()
            .with_flush_interval(Duration::from_millis(5))
            .with_retry_deadline(Duration::ZERO)
            .with_retry_waits(Duration::from_millis(5), Duration::from_millis(20))
            .with_probe_interval(Duration::from_millis(50))
    }

    /// Fills the directory with files of so many runs each, some of them forbidden.
    fn fill(&self, directory: &Directory, runs: usize, of_each: usize, forbidden: &[usize]) {
        self.always(Some(503));
        let client = Client::new(self.config(directory).with_batch_runs(of_each).with_concurrency(1)).unwrap();
        for number in 0..runs {
            let name = if forbidden.contains(&number) { FORBIDDEN.to_owned() } else { number.to_string() };
            client.submit(run(name, 32)).unwrap();
        }
        client.shutdown(LONG).unwrap();
        assert_eq!(directory.waiting().len(), runs.div_ceil(of_each));
        let mut book = self.book.lock().unwrap();
        (book.always, book.requests) = (None, 0);
    }
}

fn serve(stream: &TcpStream, book: &Mutex<Book>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = Vec::new();
        reader.by_ref().take(length.unwrap_or(0)).read_to_end(&mut body)?;
        let status = if head.starts_with("GET") { 404 } else { answer(&String::from_utf8_lossy(&body), book) };
        let mut out = stream;
        write!(out, "HTTP/1.1 {status} So\r\nContent-Length: 9\r\n\r\nForbidden")?;
    }
}

fn answer(body: &str, book: &Mutex<Book>) -> u16 {
    let mut book = book.lock().unwrap();
    book.requests += 1;
    let status = book.always.unwrap_or(if body.contains(FORBIDDEN) { 403 } else { 202 });
    if status == 202 {
        let posts = body.split("name=\"post.").skip(1).filter_map(|part| part.split('"').next());
        book.taken.extend(posts.filter(|name| !name.contains('.')).map(str::to_owned));
    }
    book.refused += usize::from(status == 403);
    status
}

/// The oldest of all files is refused each time, also after a restart.
#[test]
fn one_refused_file_stops_nothing() {
    in_time(|| {
        let (firewall, directory) = (Firewall::start(), Directory::new());
        firewall.fill(&directory, 40, 1, &[0]);
        let client = Client::new(firewall.config(&directory)).unwrap();
        eventually("all others are delivered", || firewall.taken() == 39);
        eventually("it is quarantined", || client.spool().waiting == 0);
        assert_eq!((client.spool().rejected, directory.aside().len()), (1, 1));
        assert!(firewall.refused() <= 5, "{} requests for it", firewall.refused());
    });
}

/// And it spoils neither its own file, nor what is sent at the time.
#[test]
fn a_refused_run_among_others() {
    for forbidden in [vec![0], vec![19], vec![7, 8], vec![0, 1, 2, 30]] {
        in_time(move || {
            let (firewall, directory) = (Firewall::start(), Directory::new());
            firewall.fill(&directory, 60, 20, &forbidden);
            let client = Client::new(firewall.config(&directory)).unwrap();
            eventually("all others are delivered", || firewall.taken() == 60 - forbidden.len());
            client.submit(run("now", 32)).unwrap();
            eventually("they are quarantined", || client.spool().waiting == 0);
            assert_eq!(client.spool().rejected, forbidden.len() as u64, "{forbidden:?}");
            assert_eq!(directory.aside().len(), forbidden.len());
            let requests = firewall.book.lock().unwrap().requests;
            assert!(requests < 80, "{requests} for {forbidden:?}");
        });
    }
}

/// Where nothing else is taken it may be the key: then it waits, however long that takes.
#[test]
fn a_refused_file_alone_waits_until_another_is_taken() {
    in_time(|| {
        let (firewall, directory) = (Firewall::start(), Directory::new());
        firewall.fill(&directory, 1, 1, &[0]);
        let client = Client::new(firewall.config(&directory)).unwrap();
        eventually("it was refused often", || firewall.refused() >= 10);
        assert_eq!((client.spool().rejected, client.spool().waiting), (0, 1));
        for number in 0.. {
            // One alone, taken before it was refused again, would say nothing.
            client.submit(run(number, 32)).unwrap();
            client.flush(LONG).unwrap();
            if client.spool().rejected == 1 {
                break;
            }
            assert!(number < 10_000, "{:?}", client.spool());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(directory.aside().len(), 1);
        eventually("the others are delivered", || client.stats().sent == client.stats().submitted);
        assert_adds_up(&client.stats());
    });
}

/// A key that is refused for long is no fault of the files, however often they were tried.
#[test]
fn a_refused_key_costs_no_file() {
    for status in [401, 403] {
        in_time(move || {
            let (firewall, directory) = (Firewall::start(), Directory::new());
            firewall.fill(&directory, 6, 2, &[]);
            firewall.always(Some(status));
            let client = Client::new(firewall.config(&directory)).unwrap();
            eventually("they were tried often", || firewall.book.lock().unwrap().requests >= 12);
            firewall.always(None);
            eventually("all are delivered", || firewall.taken() == 6);
            eventually("the files are gone", || client.spool().waiting == 0);
            assert_eq!(client.spool().rejected, 0);
        });
    }
}

/// The key is refused now and then, as it happened at LangSmith: nothing is lost of what is taken in between.
#[test]
fn an_incident_that_comes_and_goes_costs_no_file() {
    in_time(|| {
        let (firewall, directory) = (Firewall::start(), Directory::new());
        firewall.fill(&directory, 30, 1, &[]);
        let client = Client::new(firewall.config(&directory)).unwrap();
        for round in 1..=4 {
            let before = firewall.refused();
            firewall.always(Some(403));
            eventually("it has begun", || firewall.refused() > before || firewall.taken() == 30);
            firewall.always(None);
            let least = (6 * round).min(30);
            eventually("some are taken", || firewall.taken() >= least);
        }
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_eq!((firewall.taken(), client.spool().rejected), (30, 0));
    });
}
