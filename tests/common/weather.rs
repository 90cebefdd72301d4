//! A server that misbehaves at random, and keeps the book on every run: which ones it has stored, and whose storing it has
//! told the client. It goes away and comes back on the same port, and its book stays.

use fastrand::Rng;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Book {
    /// Runs that have come.
    pub(crate) stored: HashSet<Uuid>,
    /// Runs whose coming was answered, to the last byte.
    pub(crate) acknowledged: HashSet<Uuid>,
    /// Runs that came again although they had been acknowledged.
    pub(crate) repeated: HashSet<Uuid>,
    /// What was done to requests, by kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) requests: u64,
    /// Requests that may still be left without any answer.
    pub(crate) stalls: u64,
    /// Requests whose key may still be refused.
    pub(crate) refusals: u64,
}

pub(crate) struct Weather {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    book: Mutex<Book>,
    seed: u64,
    /// Whether there are faults at all.
    stormy: AtomicBool,
    /// Nobody listens.
    away: AtomicBool,
    /// Counts the restarts: connections of earlier times are broken off.
    life: AtomicU64,
}

impl Weather {
    /// Its threads end with the process.
    pub(crate) fn start(seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            book: Mutex::default(),
            seed,
            stormy: AtomicBool::new(true),
            away: AtomicBool::new(false),
            life: AtomicU64::new(0),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || serve(&serving, listener, address));
        Self { shared, address }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.shared.book)
    }

    /// Fair or stormy.
    pub(crate) fn storm(&self, stormy: bool) {
        self.shared.stormy.store(stormy, Ordering::SeqCst);
    }

    /// Up to so many milliseconds.
    pub(crate) fn some_time(&self, millis: u64) -> Duration {
        let requests = self.book().requests;
        Duration::from_millis(Rng::with_seed(self.shared.seed ^ requests).u64(0..=millis))
    }

    /// Gone, or back again.
    pub(crate) fn leave(&self, away: bool) {
        self.shared.away.store(away, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens, with breaks.
fn serve(shared: &Arc<Shared>, listener: TcpListener, address: SocketAddr) {
    let mut random = Rng::with_seed(shared.seed);
    let mut listener = Some(listener);
    let mut quiet = 0_u64;
    loop {
        let restart = shared.stormy.load(Ordering::SeqCst) && quiet == 0;
        if restart || shared.away.load(Ordering::SeqCst) {
            drop(listener.take());
            shared.life.fetch_add(1, Ordering::SeqCst);
            if restart {
                lock(&shared.book).note("restart");
            }
            std::thread::sleep(Duration::from_millis(random.u64(10..100)));
            quiet = random.u64(200..800);
            continue;
        }
        quiet = quiet.saturating_sub(1);
        if listener.is_none() {
            listener = TcpListener::bind(address).ok();
        }
        let Some(open) = &listener else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        if open.set_nonblocking(true).is_err() {
            continue;
        }
        match open.accept() {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                // A connection that breaks is what this is for.
                std::thread::spawn(move || drop(converse(&shared, &stream)));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

impl Book {
    fn note(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    fn store(&mut self, runs: &[Uuid]) -> bool {
        let mut all_new = true;
        for run in runs {
            if self.acknowledged.contains(run) {
                self.repeated.insert(*run);
            }
            all_new &= self.stored.insert(*run);
        }
        all_new
    }
}

/// What happens to one request.
enum Fate {
    Take,
    TakeLate(Duration),
    TakeSlowly,
    /// With a `Retry-After`.
    Status(u16, Option<u32>),
    BreakBeforeBody,
    BreakAmidBody,
    BreakAfterBody,
    /// The runs are stored, and nobody is told.
    StoreAndBreak,
    StoreAndSayHalf,
    Stall,
}

fn fate(shared: &Shared) -> Fate {
    let mut book = lock(&shared.book);
    book.requests += 1;
    if !shared.stormy.load(Ordering::SeqCst) {
        return Fate::Take;
    }
    let mut random = Rng::with_seed(shared.seed ^ book.requests.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (fault, fate) = match random.u32(0..1000) {
        0..=39 => ("503", Fate::Status(503, None)),
        40..=69 => ("500", Fate::Status(500, None)),
        70..=79 => ("408", Fate::Status(408, None)),
        80..=89 => ("502 with Retry-After", Fate::Status(502, Some(1))),
        90..=109 => ("429", Fate::Status(429, None)),
        110..=129 => ("429 with Retry-After", Fate::Status(429, Some(1))),
        130..=132 if book.refusals > 0 => {
            book.refusals -= 1;
            ("401", Fate::Status(401, None))
        }
        133..=142 => ("413", Fate::Status(413, None)),
        143..=148 => ("400", Fate::Status(400, None)),
        149..=154 => ("422", Fate::Status(422, None)),
        155..=174 => ("broken before the body", Fate::BreakBeforeBody),
        175..=194 => ("broken amid the body", Fate::BreakAmidBody),
        195..=214 => ("broken after the body", Fate::BreakAfterBody),
        215..=244 => ("stored and broken", Fate::StoreAndBreak),
        245..=264 => ("stored and half an answer", Fate::StoreAndSayHalf),
        265..=304 => ("late", Fate::TakeLate(Duration::from_millis(random.u64(20..200)))),
        305..=314 => ("read slowly", Fate::TakeSlowly),
        315..=324 if book.stalls > 0 => {
            book.stalls -= 1;
            ("stalled", Fate::Stall)
        }
        _ => return Fate::Take,
    };
    book.note(fault);
    fate
}

fn converse(shared: &Shared, stream: &TcpStream) -> io::Result<()> {
    let life = shared.life.load(Ordering::SeqCst);
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    loop {
        let head = Head::read(&mut reader)?;
        if shared.life.load(Ordering::SeqCst) != life {
            return Ok(());
        }
        if !head.is_ingest {
            out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let fate = fate(shared);
        let mut body = Vec::new();
        let mut incoming = reader.by_ref().take(head.length);
        match fate {
            // What is not read makes a reset of the end.
            Fate::BreakBeforeBody => return Ok(()),
            Fate::BreakAmidBody => return incoming.take(head.length / 2).read_to_end(&mut body).map(drop),
            Fate::TakeSlowly => {
                while incoming.by_ref().take(16 << 10).read_to_end(&mut body)? > 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            _ => drop(incoming.read_to_end(&mut body)?),
        }
        if body.len() as u64 != head.length {
            return Ok(());
        }
        match fate {
            Fate::BreakAfterBody => return Ok(()),
            Fate::Status(status, after) => {
                let after = after.map_or(String::new(), |after| format!("Retry-After: {after}\r\n"));
                write!(out, "HTTP/1.1 {status} So\r\n{after}Content-Length: 4\r\n\r\nwhy?")?;
                continue;
            }
            _ => {}
        }
        let runs = posted(&body, head.is_compressed)?;
        if runs.iter().any(is_unwanted) {
            lock(&shared.book).note("refused run");
            out.write_all(b"HTTP/1.1 422 So\r\nContent-Length: 15\r\n\r\none run is bad!")?;
            continue;
        }
        let all_new = lock(&shared.book).store(&runs);
        match fate {
            Fate::StoreAndBreak => return Ok(()),
            Fate::StoreAndSayHalf => return out.write_all(b"HTTP/1.1 20"),
            Fate::Stall => {
                std::thread::sleep(Duration::from_secs(60));
                return Ok(());
            }
            Fate::TakeLate(delay) => std::thread::sleep(delay),
            _ => {}
        }
        let status = if all_new { "202 Accepted" } else { "409 Conflict" };
        write!(out, "HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}")?;
        lock(&shared.book).acknowledged.extend(runs);
    }
}

#[derive(Default)]
struct Head {
    is_ingest: bool,
    is_compressed: bool,
    length: u64,
}

impl Head {
    fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        let mut head = Self::default();
        for number in 0.. {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.split_once(':').filter(|_| number > 0) else {
                if number == 0 {
                    head.is_ingest = line.starts_with("POST /runs/multipart ");
                    continue;
                }
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.trim().parse().map_err(io::Error::other)?,
                "content-encoding" => head.is_compressed = value.trim() == "zstd",
                _ => {}
            }
        }
        Ok(head)
    }
}

/// One run in some thousands is refused, in all weathers.
pub(crate) fn is_unwanted(run: &Uuid) -> bool {
    run.as_u128().is_multiple_of(4999)
}

/// The runs that a multipart body posts.
pub(crate) fn posted(body: &[u8], is_compressed: bool) -> io::Result<Vec<Uuid>> {
    const NAME: &str = "form-data; name=\"post.";
    let body = if is_compressed { zstd::decode_all(body)? } else { body.to_vec() };
    let text = String::from_utf8_lossy(&body);
    let names = text.match_indices(NAME).filter_map(|(at, _)| text[at + NAME.len()..].split('"').next());
    Ok(names.filter_map(|name| Uuid::try_parse(name).ok()).collect())
}
