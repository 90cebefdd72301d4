//! A batch: compressed once, when it is full, and sent and resent as the same bytes.

use super::encode::{encode, Operation, Shared};
use super::multipart::{self, Part, BOUNDARY_LINE, END};
use super::oversize;
use crate::run::Run;
use std::io;
use zstd::bulk;
use zstd::zstd_safe::{compress_bound, CParameter};

/// A finished batch.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Cheap to clone: the bytes are shared.
    pub(crate) body: bytes::Bytes,
    pub(crate) compressed: bool,
    /// The body's size before compression.
    pub(crate) raw_bytes: usize,
    pub(crate) runs: u64,
}

/// The batch that fills up.
pub(crate) struct OpenBatch {
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
        Ok(Self { body: Vec::new(), prepared: 0, runs: 0, compressor })
    }

    /// Writes the parts of a run, but does not add them yet: [`Self::next_bytes`] tells how large
    /// they are, so that a batch that would grow too large is finished first. A run that is larger
    /// than `limit` alone has its largest fields cut.
    pub(crate) fn prepare(&mut self, run: &Run, operation: Operation, shared: &Shared, limit: usize) {
        self.body.truncate(self.prepared);
        encode(run, operation, shared, &mut self.body);
        if self.next_bytes() + END.len() > limit {
            self.body.extend_from_slice(END.as_bytes());
            if let Some(smaller) = oversize::cut(&self.body[self.prepared..], limit) {
                self.body.truncate(self.prepared);
                self.body.extend_from_slice(&smaller);
            }
            self.body.truncate(self.body.len() - END.len());
        }
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
        self.prepared + END.len()
    }

    /// The memory that it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.body.len()
    }

    /// Ends the batch and begins the next one, with the run that is prepared.
    pub(crate) fn finish(&mut self, compressed: bool) -> Batch {
        let next = self.body.split_off(self.prepared);
        self.body.extend_from_slice(END.as_bytes());
        let batch = Batch::new(&self.body, self.runs, self.compressor.as_mut().filter(|_| compressed));
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
    fn new(raw: &[u8], runs: u64, compressor: Option<&mut Compressor>) -> Self {
        let raw_bytes = raw.len();
        // What cannot be compressed, for want of memory, is still sent.
        match compressor.and_then(|compressor| compressor.compress(raw).ok()) {
            Some(body) => Self { body, compressed: true, raw_bytes, runs },
            None => Self { body: bytes::Bytes::copy_from_slice(raw), compressed: false, raw_bytes, runs },
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

    /// Two batches of half the runs each; `None` when there is one run or none.
    pub(crate) fn split(&self, level: Option<i32>) -> Option<[Self; 2]> {
        let raw = self.raw().ok()?;
        let parts = multipart::read(&raw)?;
        let runs = multipart::by_run(&parts);
        if runs.len() < 2 {
            return None;
        }
        let (first, second) = runs.split_at(runs.len() / 2);
        let half = |runs: &[&[multipart::Part]]| {
            let mut body = Vec::with_capacity(raw.len());
            for part in runs.iter().copied().flatten() {
                body.extend_from_slice(&raw[part.whole.clone()]);
            }
            body.extend_from_slice(END.as_bytes());
            self.like(&body, runs.len() as u64, level)
        };
        Some([half(first), half(second)])
    }

    /// A batch of the given raw body, which stands for one run, compressed if this one is.
    pub(crate) fn of_one(&self, body: &[u8], level: Option<i32>) -> Self {
        self.like(body, 1, level)
    }

    /// A batch of parts that were read from another body, whatever their boundary was.
    pub(crate) fn of_parts(raw: &[u8], parts: &[Part], level: Option<i32>) -> Self {
        let mut body = Vec::with_capacity(raw.len());
        for part in parts {
            body.extend_from_slice(BOUNDARY_LINE.as_bytes());
            body.extend_from_slice(&raw[part.inner.clone()]);
        }
        body.extend_from_slice(END.as_bytes());
        let mut compressor = level.and_then(|level| Compressor::new(level).ok());
        Self::new(&body, multipart::count_runs(parts), compressor.as_mut())
    }

    fn like(&self, raw: &[u8], runs: u64, level: Option<i32>) -> Self {
        let mut compressor = level.filter(|_| self.compressed).and_then(|level| Compressor::new(level).ok());
        Self::new(raw, runs, compressor.as_mut())
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
