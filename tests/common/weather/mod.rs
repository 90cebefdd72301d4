//! A server that misbehaves at random, and keeps the book on every run: which ones it has stored, and whose storing it has
//! told the client. It goes away and comes back on the same port, and its book stays.

pub(crate) mod book;
mod converse;
mod fate;
pub(crate) mod runs;

use super::link::Link;
use book::Book;
use converse::converse;
use fastrand::Rng;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What bodies say that a forked process made.
pub(crate) const FORKED: &str = "made in a forked process";
/// What a narrow link bears in a second.
const NARROW: f64 = 800e3;

pub(crate) struct Weather {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    book: Mutex<Book>,
    seed: u64,
    link: Link,
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
            link: Link::new(NARROW),
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
