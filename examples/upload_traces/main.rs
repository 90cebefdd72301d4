//! Uploads a file of runs, of any size, to LangSmith.
//!
//! ```text
//! cargo run --release --example upload_traces -- --input FILE --project NAME [--concurrency N]
//! cargo run --release --example upload_traces -- --replay-failed FILE.failed.jsonl --project NAME
//! cargo run --release --example upload_traces -- --generate 1000000 --input FILE     # made-up runs to try it on
//! cargo run --example upload_traces                                                   # 2,000 of those, right away
//! ```
//! The file has runs as LangSmith exports them: a JSON list, a list of lists, or an object a line. Times are moved so
//! that the latest is now, and ids become UUIDv7 of the new times: with `--seed N` and `--now TIME` always the same
//! ones, so that a repeated upload changes nothing. Runs whose parent is missing become traces of their own.
//!
//! It goes over the file twice: first for ids, parents and times, which takes 68 bytes of memory a run, then run by
//! run in the order of the upload, parents first. Besides there are three chunks of 10,000 runs or 32 MiB in memory,
//! and what the client holds. What LangSmith did not take is in FILE.failed.jsonl afterwards, and the exit code is 1.
//!
//! Without `LANGSMITH_API_KEY` it sends to a receiver of its own on loopback, which checks what it gets.

mod generate;
mod index;
mod record;
mod scan;
mod upload;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use lexopt::prelude::*;
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config, ConfigError};

use index::Index;
use upload::{Outcome, Source, Uploader};

const USAGE: &str = "usage: upload_traces [--input FILE] [--project NAME] [--concurrency N] [--seed N] [--now TIME]
       upload_traces --replay-failed FILE [--project NAME] [--concurrency N]
       upload_traces --generate RUNS --input FILE [--seed N]";

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

struct Options {
    input: Option<PathBuf>,
    replay: Option<PathBuf>,
    generate: Option<u64>,
    project: Option<String>,
    concurrency: usize,
    seed: Option<u64>,
    now: Option<DateTime<Utc>>,
    help: bool,
}

impl Options {
    fn read() -> Result<Self, lexopt::Error> {
        let mut options = Self {
            input: None,
            replay: None,
            generate: None,
            project: None,
            concurrency: 8,
            seed: None,
            now: None,
            help: false,
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("input") => options.input = Some(arguments.value()?.into()),
                Long("replay-failed") => options.replay = Some(arguments.value()?.into()),
                Long("generate") => options.generate = Some(arguments.value()?.parse()?),
                Long("project") => options.project = Some(arguments.value()?.string()?),
                Long("concurrency") => options.concurrency = arguments.value()?.parse()?,
                Long("seed") => options.seed = Some(arguments.value()?.parse()?),
                Long("now") => options.now = Some(arguments.value()?.parse()?),
                Short('h') | Long("help") => options.help = true,
                _ => return Err(argument.unexpected()),
            }
        }
        if options.generate.is_some() && options.input.is_none() {
            return Err("--generate needs --input FILE, the file to write".into());
        }
        if options.replay.is_some() && options.input.is_some() {
            return Err("give either --input or --replay-failed".into());
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) if options.help => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(options) => options,
        Err(fault) => {
            eprintln!("{fault}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    run(&options).unwrap_or_else(|fault| {
        eprintln!("{fault}");
        ExitCode::from(2)
    })
}

fn run(options: &Options) -> Fallible<ExitCode> {
    if let (Some(runs), Some(path)) = (options.generate, &options.input) {
        write_runs(path, runs, options.seed.unwrap_or(1))?;
        println!("Wrote {runs} runs to {}", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    let (uploader, receiver) = connect(options)?;
    let outcome = if let Some(path) = &options.replay {
        println!("Sending again what failed before, from {}", path.display());
        upload(&uploader, &Source::Failed(path), path, None)?
    } else if let Some(path) = &options.input {
        from_file(&uploader, path, options)?
    } else {
        let path = std::env::temp_dir().join(format!("made-up-runs-{}.json", std::process::id()));
        write_runs(&path, 2_000, options.seed.unwrap_or(1))?;
        let outcome = from_file(&uploader, &path, options);
        std::fs::remove_file(&path)?;
        outcome?
    };
    if let Some(path) = &outcome.failures {
        println!("{} runs were not delivered; they are in {}", outcome.failed, path.display());
    }
    let mut clean = outcome.failed == 0;
    if let Some(receiver) = receiver {
        let violations = receiver.violations();
        for violation in violations.iter().take(5) {
            println!("violation: {violation}");
        }
        println!("{} runs delivered, {} violations", receiver.received(), violations.len());
        clean &= violations.is_empty();
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn from_file(uploader: &Uploader, path: &Path, options: &Options) -> Fallible<Outcome> {
    let began = Instant::now();
    let now = options.now.unwrap_or_else(Utc::now);
    let seed = options.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let file = File::open(path).map_err(|reason| format!("{}: {reason}", path.display()))?;
    let index = Index::read(file, now, seed).map_err(|reason| format!("{}: {reason}", path.display()))?;
    let runs = index.runs().count();
    println!("Read {runs} runs of {} traces in {:.1?}", index.traces, began.elapsed());
    println!("Times move by {}", in_words(index.shift));
    for (count, what) in [
        (index.notes.without_parent, "have a parent that is not in the file and become traces of their own"),
        (index.notes.cut, "stand under themselves or too deep and become traces of their own"),
        (index.notes.without_start, "have no readable start and take their parent's"),
        (index.notes.duplicates, "have the id of another run and are left out"),
    ] {
        if count > 0 {
            println!("{count} runs {what}");
        }
    }
    upload(uploader, &Source::Indexed(path, &index), path, Some(runs as u64))
}

fn upload(uploader: &Uploader, source: &Source<'_>, path: &Path, runs: Option<u64>) -> Fallible<Outcome> {
    let mut failures = path.as_os_str().to_owned();
    failures.push(".failed.jsonl");
    let began = Instant::now();
    let done = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        let progress = scope.spawn(|| show_progress(&uploader.client, runs, &done));
        let outcome = uploader.upload(source, Path::new(&failures));
        done.store(true, Ordering::Relaxed);
        progress.thread().unpark();
        outcome
    })
    .map_err(|reason| format!("{}: {reason}", path.display()))?;
    let took = began.elapsed();
    #[allow(clippy::cast_precision_loss)]
    let rate = (outcome.delivered + outcome.failed) as f64 / took.as_secs_f64();
    println!("{} runs delivered, {} failed in {took:.1?}: {rate:.0} runs a second", outcome.delivered, outcome.failed);
    if let Some(peak) = peak_memory() {
        println!("{peak} of memory at the most");
    }
    Ok(outcome)
}

/// A bar on a terminal; nothing where there is none.
fn show_progress(client: &Client, runs: Option<u64>, done: &AtomicBool) {
    let style = "{elapsed_precise} {wide_bar} {human_pos}/{human_len} runs, {per_sec}, {eta} left{msg}";
    let bar = runs.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    while !done.load(Ordering::Relaxed) {
        let stats = client.stats();
        bar.set_position(stats.sent + stats.dropped_total());
        if stats.dropped_total() > 0 {
            bar.set_message(format!(", {} failed", stats.dropped_total()));
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    bar.finish_and_clear();
}

/// To LangSmith if there is a key, else to a receiver in this process, which counts and checks and keeps nothing.
fn connect(options: &Options) -> Fallible<(Uploader, Option<LocalLangSmith>)> {
    let mut config = Config::from_env()?.with_concurrency(options.concurrency);
    if let Some(project) = &options.project {
        config = config.with_project(project);
    }
    match Uploader::new(config.clone()) {
        Err(ConfigError::MissingApiKey) => {
            println!("LANGSMITH_API_KEY is not set, so runs go to a receiver in this process");
            let receiver = LocalLangSmith::counting()?;
            let uploader = Uploader::new(config.with_endpoint(receiver.endpoint()).with_api_key("any"))?;
            Ok((uploader, Some(receiver)))
        }
        uploader => Ok((uploader?, None)),
    }
}

fn write_runs(path: &Path, runs: u64, seed: u64) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    generate::generate(&mut out, runs, seed)?;
    out.flush()
}

fn in_words(microseconds: i64) -> String {
    let seconds = microseconds / 1_000_000;
    format!("{} days {:02}:{:02}:{:02}", seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// The most memory that this process ever had, where the system tells.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes: u64 =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{} MiB", kilobytes >> 10))
}
