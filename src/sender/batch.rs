//! A batch: compressed once, while it fills up, and sent and resent as the same bytes.

use super::encode::{encode, encode_attachments, Operation, Shared};
use super::multipart::{self, END};
use crate::run::Run;
use std::io;
use zstd::stream::raw::{Encoder, InBuffer, Operation as _, OutBuffer};

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
    writer: Writer,
    runs: u64,
    /// The parts of one run, and memory for one part.
    parts: String,
    scratch: String,
    /// All parts of a run that had to be made smaller, attachments included.
    smaller: Option<Vec<u8>>,
}

impl OpenBatch {
    pub(crate) fn new(level: Option<i32>) -> io::Result<Self> {
        Ok(Self { writer: Writer::new(level)?, runs: 0, parts: String::new(), scratch: String::new(), smaller: None })
    }

    /// Writes the parts of a run, but does not add them yet: [`Self::next_bytes`] tells how large
    /// they are, so that a batch that would grow too large is finished first.
    pub(crate) fn prepare(&mut self, run: &Run, operation: Operation, shared: &Shared, limit: usize) {
        self.parts.clear();
        encode(run, operation, shared, &mut self.parts, &mut self.scratch);
        self.smaller = None;
        if self.next_bytes(run) + END.len() > limit {
            let mut whole = self.parts.clone().into_bytes();
            encode_attachments(run, |bytes| whole.extend_from_slice(bytes));
            whole.extend_from_slice(END.as_bytes());
            self.smaller = super::oversize::cut(&whole, limit).map(|mut smaller| {
                smaller.truncate(smaller.len() - END.len());
                smaller
            });
        }
    }

    pub(crate) fn next_bytes(&self, run: &Run) -> usize {
        if let Some(smaller) = &self.smaller {
            return smaller.len();
        }
        self.parts.len() + run.attachments.iter().map(|attachment| attachment.content.len() + 256).sum::<usize>()
    }

    /// Adds the run that was prepared.
    pub(crate) fn add(&mut self, run: &Run) {
        if let Some(smaller) = self.smaller.take() {
            self.writer.write(&smaller);
        } else {
            self.writer.write(self.parts.as_bytes());
            encode_attachments(run, |bytes| self.writer.write(bytes));
        }
        self.runs += 1;
        // One huge run shall not keep its memory for ever.
        if self.parts.capacity() > 4 << 20 {
            self.parts = String::new();
            self.scratch = String::new();
        }
    }

    pub(crate) fn runs(&self) -> u64 {
        self.runs
    }

    /// Bytes before compression.
    pub(crate) fn raw_bytes(&self) -> usize {
        self.writer.raw_bytes + END.len()
    }

    /// Ends the batch and begins the next one.
    pub(crate) fn finish(&mut self) -> Batch {
        let runs = std::mem::take(&mut self.runs);
        self.writer.finish(runs)
    }

    /// For this batch if nothing is in it, and from the next batch on.
    pub(crate) fn set_level(&mut self, level: Option<i32>) {
        self.writer.level = level;
        if self.runs == 0 && self.writer.encoder.is_some() != level.is_some() {
            self.writer.encoder = level.and_then(|level| Encoder::new(level).ok());
        }
    }
}

impl Batch {
    /// The body as it was before compression.
    pub(crate) fn raw(&self) -> io::Result<Vec<u8>> {
        if self.compressed {
            zstd::bulk::decompress(&self.body, self.raw_bytes)
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
            let mut writer = Writer::new(level.filter(|_| self.compressed)).ok()?;
            for part in runs.iter().copied().flatten() {
                writer.write(&raw[part.whole.clone()]);
            }
            Some(writer.finish(runs.len() as u64))
        };
        Some([half(first)?, half(second)?])
    }

    /// A batch of the given raw body, which stands for one run.
    pub(crate) fn of_one(body: &[u8], level: Option<i32>) -> Option<Self> {
        let mut writer = Writer::new(level).ok()?;
        writer.write(body.strip_suffix(END.as_bytes())?);
        Some(writer.finish(1))
    }
}

/// Compresses what is written to it, or keeps it as it is.
struct Writer {
    encoder: Option<Encoder<'static>>,
    level: Option<i32>,
    out: Vec<u8>,
    raw_bytes: usize,
}

impl Writer {
    fn new(level: Option<i32>) -> io::Result<Self> {
        let encoder = level.map(Encoder::new).transpose()?;
        Ok(Self { encoder, level, out: Vec::new(), raw_bytes: 0 })
    }

    fn write(&mut self, bytes: &[u8]) {
        self.raw_bytes += bytes.len();
        let Some(encoder) = &mut self.encoder else {
            self.out.extend_from_slice(bytes);
            return;
        };
        let mut input = InBuffer::around(bytes);
        while input.pos() < bytes.len() {
            self.out.reserve(ROOM);
            let written = self.out.len();
            // Fails only when the library is misused; the length check of the receiver would tell.
            if encoder.run(&mut input, &mut OutBuffer::around_pos(&mut self.out, written)).is_err() {
                return;
            }
        }
    }

    fn finish(&mut self, runs: u64) -> Batch {
        self.write(END.as_bytes());
        if let Some(encoder) = &mut self.encoder {
            loop {
                self.out.reserve(ROOM);
                let written = self.out.len();
                match encoder.finish(&mut OutBuffer::around_pos(&mut self.out, written), true) {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
        }
        let compressed = self.encoder.is_some();
        // The compressor's memory serves the next batch too.
        let kept = self.encoder.take().filter(|_| self.level.is_some());
        let kept = kept.and_then(|mut encoder| encoder.reinit().is_ok().then_some(encoder));
        self.encoder = kept.or_else(|| Encoder::new(self.level?).ok());
        // The body keeps no more memory than it needs: it may wait for long.
        let body = std::mem::take(&mut self.out).into_boxed_slice();
        Batch { body: body.into(), compressed, raw_bytes: std::mem::take(&mut self.raw_bytes), runs }
    }
}

/// Room for what one call to the compressor may write.
const ROOM: usize = 32 << 10;
