//! The upload: chunk by chunk, so that what is in memory does not grow with the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{sync_channel, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use opentelemetry_langsmith::{Client, Config, ConfigError, FlushError, Run, RunId};

use crate::index::Index;
use crate::record::{Place, Record};
use crate::scan::{invalid, Objects};

/// A chunk is complete with so many runs, or so many bytes of the file. Three are in memory at most: one that is
/// read, one that waits and one that is sent.
const CHUNK_RUNS: usize = 10_000;
const CHUNK_BYTES: u64 = 32 << 20;

/// What to upload.
pub(crate) enum Source<'a> {
    /// A file of runs whose places are known.
    Indexed(&'a Path, &'a Index),
    /// A file of runs that failed before, which tells their places itself.
    Failed(&'a Path),
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    /// The file with what failed, if anything did.
    pub(crate) failures: Option<PathBuf>,
}

/// A run on its way, with what it takes to read it again.
struct Item {
    offset: u64,
    length: u32,
    id: RunId,
    place: Place,
    run: Result<Run, String>,
}

type Dropped = Arc<Mutex<HashMap<RunId, &'static str>>>;

/// Sends to LangSmith, and learns which runs it gave up.
pub(crate) struct Uploader {
    pub(crate) client: Client,
    dropped: Dropped,
}

impl Uploader {
    pub(crate) fn new(config: Config) -> Result<Self, ConfigError> {
        let dropped = Dropped::default();
        let told = Arc::clone(&dropped);
        let config = config.with_on_drop(move |id, reason| {
            told.lock().unwrap_or_else(PoisonError::into_inner).insert(id, reason.as_str());
        });
        Ok(Self { client: Client::new(config)?, dropped })
    }

    /// Uploads all of it; what does not arrive goes to the file `failures`.
    pub(crate) fn upload(&self, source: &Source<'_>, failures: &Path) -> io::Result<Outcome> {
        let path = match source {
            Source::Indexed(path, _) | Source::Failed(path) => path,
        };
        let mut file = File::open(path)?;
        let mut failures = Failures { path: failures, out: None };
        let mut outcome = Outcome::default();
        std::thread::scope(|scope| {
            let (chunks, ready) = sync_channel(1);
            let reader = scope.spawn(move || read(source, &chunks));
            for chunk in ready {
                self.send(chunk, &mut file, &mut failures, &mut outcome)?;
            }
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        outcome.failures = failures.finish()?;
        Ok(outcome)
    }

    fn send(
        &self,
        chunk: Vec<Item>,
        file: &mut File,
        failures: &mut Failures<'_>,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        let mut sent = Vec::with_capacity(chunk.len());
        for Item { offset, length, id, place, run } in chunk {
            let refused = match run {
                Ok(run) => self.client.submit(run).err().map(|reason| reason.to_string()),
                Err(reason) => Some(reason),
            };
            sent.push((offset, length, id, place, refused));
        }
        // Batches are tried again until their own deadline, so this ends.
        while let Err(FlushError::Timeout { .. }) = self.client.flush(Duration::from_secs(600)) {}

        let dropped = std::mem::take(&mut *self.dropped.lock().unwrap_or_else(PoisonError::into_inner));
        for (offset, length, id, place, refused) in sent {
            let Some(why) = refused.as_deref().or_else(|| dropped.get(&id).copied()) else {
                outcome.delivered += 1;
                continue;
            };
            outcome.failed += 1;
            let bytes = read_at(file, offset, length)?;
            parse(&bytes, offset)?.write_failed(failures.open()?, &place, why)?;
        }
        Ok(())
    }
}

/// The file is made when the first run fails.
struct Failures<'a> {
    path: &'a Path,
    out: Option<BufWriter<File>>,
}

impl Failures<'_> {
    fn open(&mut self) -> io::Result<&mut BufWriter<File>> {
        if self.out.is_none() {
            self.out = Some(BufWriter::new(File::create(self.path)?));
        }
        self.out.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn finish(self) -> io::Result<Option<PathBuf>> {
        self.out.map(|mut out| out.flush().map(|()| self.path.to_owned())).transpose()
    }
}

/// Reads and converts ahead of the sending.
fn read(source: &Source<'_>, chunks: &SyncSender<Vec<Item>>) -> io::Result<()> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    let mut add = |item: Item| {
        bytes += u64::from(item.length);
        chunk.push(item);
        if chunk.len() < CHUNK_RUNS && bytes < CHUNK_BYTES {
            return true;
        }
        bytes = 0;
        // Nobody listens any more where the sending has failed.
        chunks.send(std::mem::take(&mut chunk)).is_ok()
    };
    match source {
        Source::Indexed(path, index) => {
            let mut file = File::open(path)?;
            for (offset, length, at) in index.runs() {
                let bytes = read_at(&mut file, offset, length)?;
                let record = parse(&bytes, offset)?;
                if !add(item(&record, offset, length, index.place(at), index.shift)) {
                    return Ok(());
                }
            }
        }
        Source::Failed(path) => {
            let mut objects = Objects::new(File::open(path)?);
            while let Some((offset, object)) = objects.next()? {
                let record = parse(object, offset)?;
                let order = record.place().ok_or_else(|| {
                    invalid(format!("the run at byte {offset} has no readable dotted_order; give this file to --input"))
                })?;
                let length = u32::try_from(object.len()).map_err(|_| invalid("a run is larger than 4 GiB".into()))?;
                if !add(item(&record, offset, length, order, 0)) {
                    return Ok(());
                }
            }
        }
    }
    if !chunk.is_empty() {
        let _ = chunks.send(chunk);
    }
    Ok(())
}

fn item(
    record: &Record<'_>,
    offset: u64,
    length: u32,
    order: opentelemetry_langsmith::DottedOrder,
    shift: i64,
) -> Item {
    let run = record.to_run(&order, shift).map_err(|reason| reason.to_string());
    let end: Option<DateTime<Utc>> = run.as_ref().ok().and_then(Run::end_time);
    Item { offset, length, id: order.id(), place: Place { order, end }, run }
}

fn parse(bytes: &[u8], offset: u64) -> io::Result<Record<'_>> {
    serde_json::from_slice(bytes).map_err(|reason| invalid(format!("the run at byte {offset} is no JSON: {reason}")))
}

fn read_at(file: &mut File, offset: u64, length: u32) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
