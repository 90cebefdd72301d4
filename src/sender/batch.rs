//! A batch: compressed once, when it is full, and sent and resent as the same bytes.

use super::boundary::{Boundary, END_LENGTH};
use super::encode::{encode, Shared};
use super::multipart::{self, Heads, Operation, Part};
use super::oversize::{self, Cut};
use crate::run::Run;
use std::io;
use zstd::bulk;
use zstd::zstd_safe::{compress_bound, CParameter};

/// A finished batch.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Cheap to clone: the bytes are shared.
    pub(crate) body: bytes::Bytes,
    /// Of this body alone.
    pub(crate) boundary: Boundary,
    pub(crate) compressed: bool,
    /// The body's size before compression.
    pub(crate) raw_bytes: usize,
    pub(crate) runs: u64,
}

/// The batch that fills up.
pub(crate) struct OpenBatch {
    heads: Heads,
    /// The parts of all runs, and behind them those of the run that is prepared.
    body: Vec<u8>,
    /// Where the run begins that is prepared and not added yet.
    prepared: usize,
    runs: u64,
    compressor: Option<Compressor>,
}

impl OpenBatch {
    pub(crate) fn new(level: Option<i32>) -> io::Result<Self> {
        let compressor = level.map(Compressor::new).transpose()?;
        Ok(Self { heads: Heads::new(Boundary::random()), body: Vec::new(), prepared: 0, runs: 0, compressor })
    }

    /// Writes the parts of a run, but does not add them yet: [`Self::next_bytes`] tells how large
    /// they are, so that a batch that would grow too large is finished first. A run that is larger
    /// than `limit` alone has its largest fields cut, which is returned to be told.
    pub(crate) fn prepare(&mut self, run: &Run, operation: Operation, shared: &Shared, limit: usize) -> Option<Cut> {
        self.body.truncate(self.prepared);
        encode(run, self.heads.of(operation), shared, &mut self.body);
        if self.next_bytes() + END_LENGTH <= limit {
            return None;
        }
        self.heads.boundary.push_end(&mut self.body);
        let mut cut = oversize::cut(&self.body[self.prepared..], &self.heads.boundary, limit);
        if let Some(cut) = &mut cut {
            self.body.truncate(self.prepared);
            self.body.append(&mut cut.body);
        }
        self.body.truncate(self.body.len() - END_LENGTH);
        cut
    }

    pub(crate) fn next_bytes(&self) -> usize {
        self.body.len() - self.prepared
    }

    /// Adds the run that was prepared.
    pub(crate) fn add(&mut self) {
        self.prepared = self.body.len();
        self.runs += 1;
    }

    pub(crate) fn runs(&self) -> u64 {
        self.runs
    }

    /// Bytes before compression.
    pub(crate) fn raw_bytes(&self) -> usize {
        self.prepared + END_LENGTH
    }

    /// The memory that it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.body.len()
    }

    /// Ends the batch and begins the next one, with the run that is prepared.
    pub(crate) fn finish(&mut self, compressed: bool) -> Batch {
        let Heads { boundary, .. } = std::mem::replace(&mut self.heads, Heads::new(Boundary::random()));
        multipart::change_boundary(&mut self.body, self.prepared, &boundary, &self.heads.boundary);
        let next = self.body.split_off(self.prepared);
        boundary.push_end(&mut self.body);
        let batch = Batch::new(&self.body, boundary, self.runs, self.compressor.as_mut().filter(|_| compressed));
        // One huge run shall not keep its memory for ever.
        if self.body.capacity() > MUCH {
            self.body = Vec::new();
        }
        self.body.clear();
        self.body.extend_from_slice(&next);
        (self.prepared, self.runs) = (0, 0);
        batch
    }
}

/// More than this is given back.
const MUCH: usize = 4 << 20;

impl Batch {
    /// A batch of a whole raw body.
    fn new(raw: &[u8], boundary: Boundary, runs: u64, compressor: Option<&mut Compressor>) -> Self {
        let raw_bytes = raw.len();
        // What cannot be compressed, for want of memory, is still sent.
        match compressor.and_then(|compressor| compressor.compress(raw).ok()) {
            Some(body) => Self { body, boundary, compressed: true, raw_bytes, runs },
            None => Self { body: bytes::Bytes::copy_from_slice(raw), boundary, compressed: false, raw_bytes, runs },
        }
    }

    /// The body as it was before compression.
    pub(crate) fn raw(&self) -> io::Result<Vec<u8>> {
        if self.compressed {
            bulk::decompress(&self.body, self.raw_bytes)
        } else {
            Ok(self.body.to_vec())
        }
    }

    /// The same batch without compression.
    pub(crate) fn uncompressed(&self) -> io::Result<Self> {
        Ok(Self { body: self.raw()?.into(), compressed: false, ..*self })
    }

    /// Batches of its runs: two halves or, with `scouts`, some of one run each and one of the rest. `None` when there is
    /// one run or none.
    pub(crate) fn split(&self, scouts: usize, level: Option<i32>) -> Option<Vec<Self>> {
        let raw = self.raw().ok()?;
        let parts = multipart::read(&raw)?;
        let runs = multipart::by_run(&parts);
        if runs.len() < 2 {
            return None;
        }
        let level = level.filter(|_| self.compressed);
        let of = |runs: &[&[Part]]| Self::of_parts(&raw, runs.iter().copied().flatten(), runs.len() as u64, level);
        let singles = scouts.min(runs.len() - 1);
        let (first, rest) = runs.split_at(if singles > 0 { singles } else { runs.len() / 2 });
        let mut batches: Vec<_> = first.chunks(if singles > 0 { 1 } else { first.len() }).map(of).collect();
        batches.push(of(rest));
        Some(batches)
    }

    /// Whether a text has the id of one of its runs in it.
    pub(crate) fn is_named_in(&self, text: &str) -> bool {
        let ids = text.split(|c: char| !c.is_ascii_hexdigit() && c != '-').filter(|id| id.len() == 36);
        let mut ids = ids.peekable();
        if ids.peek().is_none() {
            return false;
        }
        let Ok(raw) = self.raw() else { return false };
        let parts = multipart::read(&raw).unwrap_or_default();
        ids.any(|id| parts.iter().any(|part| part.id.eq_ignore_ascii_case(id)))
    }

    /// A batch of the given raw body, which stands for this one's run, compressed if this one is.
    pub(crate) fn of_one(&self, body: &[u8], level: Option<i32>) -> Option<Self> {
        let parts = multipart::read(body)?;
        Some(Self::of_parts(body, &parts, 1, level.filter(|_| self.compressed)))
    }

    /// A batch of parts that were read from another body.
    pub(crate) fn of_parts<'a>(
        raw: &[u8],
        parts: impl IntoIterator<Item = &'a Part>,
        runs: u64,
        level: Option<i32>,
    ) -> Self {
        let boundary = Boundary::random();
        let mut body = Vec::with_capacity(raw.len());
        for part in parts {
            boundary.push_line(&mut body);
            body.extend_from_slice(&raw[part.inner.clone()]);
        }
        boundary.push_end(&mut body);
        let mut compressor = level.and_then(|level| Compressor::new(level).ok());
        Self::new(&body, boundary, runs, compressor.as_mut())
    }
}

/// Compresses whole bodies, one after the other, in memory that it keeps.
struct Compressor {
    inner: bulk::Compressor<'static>,
    out: Vec<u8>,
}

impl Compressor {
    fn new(level: i32) -> io::Result<Self> {
        let mut inner = bulk::Compressor::new(level)?;
        if level == 1 {
            // A batch of 100 runs has some hundred kilobytes. With a window of 512 KiB, zstd would take 15 %
            // longer and leave hardly fewer bytes. The table of 32 KiB stays in the cache next to the core: with it
            // everything that is done for a span of a chat takes 4 % less time than with one of 128 KiB, and 11 to
            // 13 % less for deep trees and long texts; a body of chats has 4 % more bytes, one of long texts 9 %.
            // Who wants few bytes takes a higher level.
            inner.set_parameter(CParameter::WindowLog(18))?;
            inner.set_parameter(CParameter::HashLog(13))?;
        }
        Ok(Self { inner, out: Vec::new() })
    }

    fn compress(&mut self, raw: &[u8]) -> io::Result<bytes::Bytes> {
        self.out.clear();
        self.out.reserve(compress_bound(raw.len()));
        self.inner.compress_to_buffer(raw, &mut self.out)?;
        // The body keeps no more memory than it needs: it may wait for long.
        let body = bytes::Bytes::copy_from_slice(&self.out);
        if self.out.capacity() > MUCH {
            self.out = Vec::new();
        }
        Ok(body)
    }
}
