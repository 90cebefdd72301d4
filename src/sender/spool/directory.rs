//! The directory with the files: writing them whole or not at all, and taking them so that nobody else
//! sends them too.
//!
//! A file has one of three names. `….tmp` is being written, and nobody reads it. `trace_….json` waits.
//! `trace_….json.taken` is being sent by a process that holds a lock on it, from before it got that name
//! until it is gone or has its old name again. The system frees the lock of a process that dies, so a
//! taken file without a lock was left behind, and waits again. What it held may have arrived: then the
//! server says so by a 409.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const WAITING: &str = ".json";
const TAKEN: &str = ".taken";
const UNFINISHED: &str = ".tmp";
/// Where files go that will never be delivered.
const ASIDE: &str = "rejected";
/// A file that nobody has finished after this time never will be.
const ABANDONED: Duration = Duration::from_secs(60);
/// For so long the sizes of other processes' files are remembered.
const RECENT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    budget: u64,
    /// The bytes in it, and when they were counted.
    used: Option<(Instant, u64)>,
    /// Microseconds in the name of the last file: names say in which order files were written.
    last_stamp: u128,
}

/// Why a file was not written.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// It does not fit.
    Full,
    Failed(io::Error),
}

impl From<io::Error> for NotWritten {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Directory {
    /// Makes the directory if need be, and tries whether it can be written to.
    pub(super) fn open(path: &Path, budget: u64) -> io::Result<Self> {
        make(path)?;
        let probe = path.join(format!("probe_{:016x}.tmp", fastrand::u64(..)));
        create(&probe)?;
        fs::remove_file(&probe)?;
        Ok(Self { path: path.to_owned(), budget, used: None, last_stamp: 0 })
    }

    /// Writes a file and says what it is called. It has its name when it is complete, so whatever ends
    /// the process leaves no half one behind. What is `durable` outlives the machine's end too; the
    /// name itself may be lost then, which is no worse than to have come too late.
    pub(super) fn write(&mut self, content: &[u8], durable: bool) -> Result<String, NotWritten> {
        let size = content.len() as u64;
        let used = self.used()?;
        if used + size > self.budget {
            return Err(NotWritten::Full);
        }
        let name = self.next_name();
        write_whole(&self.path, &name, content, durable)?;
        if let Some((_, used)) = &mut self.used {
            *used += size;
        }
        Ok(name)
    }

    /// Writes a part of a taken file in its place among the others. No budget holds it back: the taken file
    /// is removed next.
    pub(super) fn rewrite(&mut self, taken: &Taken, content: &[u8]) -> io::Result<String> {
        let old = taken.name();
        let stamp = old.rsplit_once('_').map_or(&*old, |(stamp, _)| stamp);
        let name = format!("{stamp}_{:08x}.json", fastrand::u32(..));
        self.used = None;
        write_whole(&self.path, &name, content, true).map(|()| name)
    }

    /// Writes what was refused to where somebody may look at it.
    pub(super) fn write_aside(&mut self, content: &[u8]) -> io::Result<()> {
        let aside = self.aside(content.len() as u64)?;
        let name = self.next_name();
        write_whole(&aside, &name, content, false)
    }

    /// Files that wait, oldest first, and whether others are being sent by somebody.
    pub(super) fn list(&self) -> io::Result<(Vec<String>, bool)> {
        let mut waiting = Vec::new();
        let mut taken = false;
        for (name, _) in files(&self.path)? {
            if name.ends_with(WAITING) {
                waiting.push(name);
            } else if let Some(home) = name.strip_suffix(TAKEN) {
                if put_back_abandoned(&self.path, home) {
                    waiting.push(home.to_owned());
                } else {
                    taken = true;
                }
            }
        }
        waiting.sort_unstable();
        Ok((waiting, taken))
    }

    /// Whether a file waits or is being sent.
    pub(super) fn has(&self, name: &str) -> bool {
        let home = self.path.join(name);
        home.exists() || self.path.join(format!("{name}{TAKEN}")).exists() || home.exists()
    }

    /// Removes what processes that died had begun to write.
    pub(super) fn tidy(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)?.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let ours = (name.starts_with("trace_") || name.starts_with("probe_")) && name.ends_with(UNFINISHED);
            let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|at| at.elapsed().ok());
            if ours && age.is_some_and(|age| age > ABANDONED) {
                // Whoever still writes holds a lock.
                let unlocked = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
                if unlocked {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(())
    }

    /// Takes a file, unless somebody else has it.
    pub(super) fn take(&self, name: &str) -> Option<Taken> {
        let home = self.path.join(name);
        let away = self.path.join(format!("{name}{TAKEN}"));
        if !fs::symlink_metadata(&home).ok()?.is_file() {
            return None;
        }
        let file = File::open(&home).ok()?;
        file.try_lock().ok()?;
        // Who had it before may have removed it before the lock was free.
        fs::rename(&home, &away).ok()?;
        Some(Taken { file, home, away, settled: false })
    }

    /// A taken file was delivered, or its content is elsewhere.
    pub(super) fn remove(&mut self, mut taken: Taken) -> io::Result<()> {
        fs::remove_file(&taken.away)?;
        taken.settled = true;
        self.used = None;
        Ok(())
    }

    /// A taken file will never be delivered.
    pub(super) fn set_aside(&mut self, mut taken: Taken) -> io::Result<()> {
        let size = taken.file.metadata()?.len();
        let name = taken.home.file_name().unwrap_or_default().to_owned();
        match self.aside(size) {
            Ok(aside) => fs::rename(&taken.away, aside.join(name))?,
            Err(_) => fs::remove_file(&taken.away)?,
        }
        taken.settled = true;
        self.used = None;
        Ok(())
    }

    /// The directory for what was refused, if it has room. It may hold as much as this one.
    fn aside(&self, size: u64) -> io::Result<PathBuf> {
        let aside = self.path.join(ASIDE);
        make(&aside)?;
        let used: u64 = files(&aside)?.iter().map(|(_, size)| size).sum();
        if used + size > self.budget {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(aside)
    }

    fn used(&mut self) -> io::Result<u64> {
        if let Some((at, used)) = self.used.filter(|(at, _)| at.elapsed() < RECENT) {
            self.used = Some((at, used));
            return Ok(used);
        }
        let used = files(&self.path)?.iter().map(|(_, size)| size).sum();
        self.used = Some((Instant::now(), used));
        Ok(used)
    }

    fn next_name(&mut self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        self.last_stamp = now.max(self.last_stamp + 1);
        let (seconds, micros) = (self.last_stamp / 1_000_000, self.last_stamp % 1_000_000);
        format!("trace_{seconds}.{micros:06}_{:08x}.json", fastrand::u32(..))
    }
}

/// How many files wait or are being sent.
pub(super) fn count(path: &Path) -> u64 {
    files(path).map_or(0, |files| files.len() as u64)
}

/// A file that this process alone may send. It waits again when it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    file: File,
    home: PathBuf,
    away: PathBuf,
    settled: bool,
}

impl Taken {
    pub(crate) fn name(&self) -> String {
        self.home.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        (&self.file).take(limit).read_to_end(&mut content)?;
        Ok(content)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.settled {
            // If that fails it is found as abandoned.
            let _ = fs::rename(&self.away, &self.home);
        }
        unlock(&self.file);
    }
}

fn put_back_abandoned(path: &Path, home: &str) -> bool {
    let away = path.join(format!("{home}{TAKEN}"));
    let Ok(file) = File::open(&away) else { return false };
    // The lock is held until the file has its name again.
    if file.try_lock().is_err() {
        return false;
    }
    let is_back = fs::rename(&away, path.join(home)).is_ok();
    unlock(&file);
    is_back
}

/// Closing a file unlocks it only if no process that was forked meanwhile has it open too.
fn unlock(file: &File) {
    // Where there are no locks there is none to give back.
    let _ = file.unlock();
}

/// Failed traces, those that are being sent among them, and their sizes.
fn files(path: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with("trace_") || !name.strip_suffix(TAKEN).unwrap_or(&name).ends_with(WAITING) {
            continue;
        }
        // It may be gone by now. Links are not followed.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            files.push((name, metadata.len()));
        }
    }
    Ok(files)
}

fn write_whole(directory: &Path, name: &str, content: &[u8], durable: bool) -> io::Result<()> {
    let unfinished = directory.join(name).with_extension("tmp");
    let write = || {
        let mut file = create(&unfinished)?;
        // Where there are no locks, its age alone says whether it was abandoned.
        let _ = file.try_lock();
        file.write_all(content)?;
        if durable {
            file.sync_data()?;
        }
        fs::rename(&unfinished, directory.join(name))?;
        unlock(&file);
        Ok(())
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}

/// For this user alone.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// For this user alone, where it is not there yet.
fn make(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
