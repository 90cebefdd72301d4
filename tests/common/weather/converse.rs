//! One connection: requests are read and answered, well or badly.

use super::fate::{fate, Fate, Season};
use super::runs::{is_forbidden, is_unwanted, posted, text_of};
use super::{lock, Shared, FORKED};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(super) fn converse(shared: &Shared, stream: &TcpStream) -> io::Result<()> {
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
        let (season, fate) = fate(shared);
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
            _ if season == Season::Narrow => body = shared.link.read(head.length, &mut incoming)?,
            _ => drop(incoming.read_to_end(&mut body)?),
        }
        if body.len() as u64 != head.length {
            return Ok(());
        }
        let text = text_of(&body, head.is_compressed)?;
        let runs = posted(&text);
        let mut book = lock(&shared.book);
        book.came(&runs, &head.key);
        book.from_forks += u64::from(text.contains(FORKED));
        drop(book);
        if let Fate::BreakAfterBody = fate {
            return Ok(());
        }
        if let Fate::Status(status, after) = fate {
            if matches!(status, 400 | 401 | 413 | 422) {
                lock(&shared.book).refuse(&runs);
            }
            let after = after.map_or(String::new(), |after| format!("Retry-After: {after}\r\n"));
            write!(out, "HTTP/1.1 {status} So\r\n{after}Content-Length: 4\r\n\r\nwhy?")?;
            continue;
        }
        if let (Season::NoZstd(status), true) = (season, head.is_compressed) {
            lock(&shared.book).note(if status == 400 { "no zstd, 400" } else { "no zstd, 415" });
            write!(out, "HTTP/1.1 {status} So\r\nContent-Length: 15\r\n\r\nInvalid request")?;
            continue;
        }
        if runs.iter().any(is_forbidden) {
            let mut book = lock(&shared.book);
            book.note("forbidden run");
            book.refuse(&runs);
            drop(book);
            out.write_all(b"HTTP/1.1 403 So\r\nContent-Length: 9\r\n\r\nForbidden")?;
            continue;
        }
        if runs.iter().any(is_unwanted) {
            let mut book = lock(&shared.book);
            book.note("refused run");
            book.refuse(&runs);
            drop(book);
            out.write_all(b"HTTP/1.1 422 So\r\nContent-Length: 15\r\n\r\none run is bad!")?;
            continue;
        }
        let all_new = lock(&shared.book).store(&runs);
        let status = if all_new { "202 Accepted" } else { "409 Conflict" };
        match fate {
            Fate::StoreAndBreak => return Ok(()),
            Fate::StoreAndSayHalf => return out.write_all(b"HTTP/1.1 20"),
            Fate::Stall => {
                std::thread::sleep(Duration::from_secs(60));
                return Ok(());
            }
            Fate::TakeEndlessly => {
                write!(out, "HTTP/1.1 {status}\r\n\r\n")?;
                let mut book = lock(&shared.book);
                book.acknowledged.extend(runs);
                book.endless += 1;
                drop(book);
                let bytes = speak_on(out);
                let mut book = lock(&shared.book);
                book.endless -= 1;
                book.longest = book.longest.max(bytes);
                return Ok(());
            }
            Fate::TakeLate(delay) => std::thread::sleep(delay),
            _ => {}
        }
        write!(out, "HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}")?;
        lock(&shared.book).acknowledged.extend(runs);
    }
}

/// Says something for as long as somebody listens, and how many bytes that were.
fn speak_on(mut out: &TcpStream) -> u64 {
    let mut bytes = 0;
    while let Ok(more) = out.write(&[b' '; 16 << 10]) {
        bytes += more as u64;
        std::thread::sleep(Duration::from_millis(1));
    }
    bytes
}

#[derive(Default)]
struct Head {
    is_ingest: bool,
    is_compressed: bool,
    length: u64,
    key: String,
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
                "x-api-key" => value.trim().clone_into(&mut head.key),
                _ => {}
            }
        }
        Ok(head)
    }
}
