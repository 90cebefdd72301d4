//! A server that looks at what it gets before it answers: a closure says what each request is told. It shares no code
//! with the crate's own receiver.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One request with a body, as the server sees it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) compressed: bool,
    /// The size on the wire.
    pub(crate) bytes: usize,
    /// The body without compression, as text.
    pub(crate) plain: String,
    pub(crate) status: u16,
}

impl Seen {
    /// The ids of the runs that it creates.
    pub(crate) fn posts(&self) -> BTreeSet<String> {
        let (before, length) = if self.path.ends_with("/batch") { ("\"id\":\"", 36) } else { ("name=\"post.", 36) };
        let places = self.plain.match_indices(before).map(|(at, _)| at + before.len());
        places.filter_map(|at| self.plain.get(at..at + length)).map(str::to_owned).collect()
    }
}

/// A status, and what else stands between it and the end of the answer: more headers, and the body.
pub(crate) struct Verdict(pub(crate) u16, pub(crate) String, pub(crate) String);

pub(crate) fn status(status: u16, body: &str) -> Verdict {
    Verdict(status, String::new(), body.to_owned())
}

pub(crate) fn taken() -> Verdict {
    status(202, r#"{"message":"accepted"}"#)
}

type Rule = Box<dyn Fn(&Seen) -> Verdict + Send + Sync>;

/// Ends with the process.
#[derive(Clone)]
pub(crate) struct Judge {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Judge {
    /// `info` is the body of `/info`; a 500 is the answer while it gives none.
    pub(crate) fn start(
        info: impl Fn() -> Option<String> + Send + Sync + 'static,
        rule: impl Fn(&Seen) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let judge = Self { address: listener.local_addr().expect("it is bound"), seen: Arc::default() };
        let serving = judge.clone();
        let (rule, info): (Arc<Rule>, Arc<dyn Fn() -> Option<String> + Send + Sync>) =
            (Arc::new(Box::new(rule)), Arc::new(info));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (judge, rule, info) = (serving.clone(), Arc::clone(&rule), Arc::clone(&info));
                // A connection that breaks is the client's business.
                std::thread::spawn(move || drop(judge.serve(&stream, &rule, &*info)));
            }
        });
        judge
    }

    /// Takes all but what the rule refuses, and knows no limits.
    pub(crate) fn ruled(rule: impl Fn(&Seen) -> Verdict + Send + Sync + 'static) -> Self {
        Self::start(|| Some("{}".into()), rule)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.lock().clone()
    }

    /// The ids of all runs that were accepted.
    pub(crate) fn accepted(&self) -> BTreeSet<String> {
        self.lock().iter().filter(|seen| seen.status < 300).flat_map(Seen::posts).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream, rule: &Rule, info: &dyn Fn() -> Option<String>) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let (path, length, compressed) = read_head(&mut reader)?;
            let mut body = Vec::new();
            reader.by_ref().take(length).read_to_end(&mut body)?;
            if path.ends_with("/info") {
                let (status, body) = info().map_or((500, String::new()), |info| (200, info));
                say(stream, &Verdict(status, String::new(), body))?;
                continue;
            }
            let bytes = body.len();
            let plain = if compressed { zstd::decode_all(&*body)? } else { body };
            let plain = String::from_utf8_lossy(&plain).into_owned();
            let mut seen = Seen { at: Instant::now(), path, compressed, bytes, plain, status: 0 };
            let verdict = rule(&seen);
            seen.status = verdict.0;
            self.lock().push(seen);
            say(stream, &verdict)?;
        }
    }
}

fn read_head(reader: &mut impl BufRead) -> io::Result<(String, u64, bool)> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut compressed) = (0, false);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
            "content-encoding" => compressed = value.trim() == "zstd",
            _ => {}
        }
    }
    Ok((path, length, compressed))
}

fn say(mut stream: &TcpStream, Verdict(status, headers, body): &Verdict) -> io::Result<()> {
    let answer = format!("HTTP/1.1 {status} Said\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes())
}
