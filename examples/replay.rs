//! Delivers what was kept on disk while LangSmith could not be reached, by this crate or by LangSmith's SDK for Python.
//!
//! ```text
//! cargo run --example replay -- DIR           # sends the files in DIR that are meant for this endpoint, workspace and key
//! cargo run --example replay -- --adopt DIR   # sends all files in DIR, wherever they were meant for
//! cargo run --example replay                  # makes an outage of its own first, and then replays it
//! ```
//! Files are removed as they arrive. Those that name another destination stay, unless you adopt them: after a change of the
//! endpoint, the workspace or the key. Be sure that they are all yours.
//!
//! An application that has `LANGSMITH_FAILED_TRACES_DIR` set does this by itself. The program is for directories that
//! no application uses any more, or that were brought from another machine.
//!
//! Without `LANGSMITH_API_KEY` it sends to a receiver in this process, which checks what it gets: a rehearsal, with a
//! copy of DIR. It ends when no file is left, or when none was taken for half a minute; the exit code is 1 then.

use std::error::Error;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lexopt::prelude::*;
use opentelemetry_langsmith::testing::{Fault, LocalLangSmith};
use opentelemetry_langsmith::{Client, Config, Run, RunType, SpoolStats, UsageMetadata};
use serde_json::json;

const USAGE: &str = "usage: replay [[--adopt] DIR]";
/// So long no file may have been taken before the program ends.
const PATIENCE: Duration = Duration::from_secs(30);

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<ExitCode> {
    let (mut directory, mut adopt) = (None, false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(path) if directory.is_none() => directory = Some(PathBuf::from(path)),
            Long("adopt") => adopt = true,
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
            _ => return Err(format!("{}\n{USAGE}", argument.unexpected()).into()),
        }
    }
    if adopt && directory.is_none() {
        return Err(format!("--adopt wants a directory\n{USAGE}").into());
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let config = Config::from_env()?;
    match directory {
        Some(directory) if !directory.is_dir() => Err(format!("{} is no directory", directory.display()).into()),
        Some(directory) if config.has_api_key() => {
            let spool = replay(config.with_spool_dir(directory).with_adopted_spool(adopt))?;
            println!("{} runs of {} files delivered", spool.delivered_runs, spool.delivered);
            Ok(if left(&spool) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Some(directory) => {
            println!("LANGSMITH_API_KEY is not set, so a copy of the files goes to a receiver in this process");
            let copy = Copy::of(&directory)?;
            rehearse(config, &copy, &LocalLangSmith::start()?)
        }
        None => {
            let copy = Copy::new()?;
            let receiver = LocalLangSmith::start()?;
            outage(config.clone(), &copy, &receiver)?;
            rehearse(config, &copy, &receiver)
        }
    }
}

/// Traces that nobody takes: they go to disk.
fn outage(config: Config, directory: &Copy, receiver: &LocalLangSmith) -> Fallible<()> {
    receiver.respond(Fault::status(503).forever());
    let config = config
        .with_endpoint(receiver.endpoint())
        .with_api_key("any")
        .with_spool_dir(&directory.0)
        .with_batch_runs(20)
        .with_retry_deadline(Duration::ZERO);
    let client = Client::new(config)?;
    for number in 0..100 {
        let agent = Run::builder("answer", RunType::Chain).inputs(&json!({"question": format!("Where is {number}?")}));
        let agent = agent.outputs(&json!({"answer": "On its way."})).end_now().build()?;
        let llm = Run::builder("ask_model", RunType::Llm).child_of(&agent).usage(&UsageMetadata::new(12, 4));
        client.submit(llm.outputs("On its way.").end_now().build()?)?;
        client.submit(agent)?;
    }
    client.shutdown(Duration::from_secs(10))?;
    println!("the receiver is down: {}", client.stats());
    receiver.respond([]);
    Ok(())
}

fn rehearse(config: Config, directory: &Copy, receiver: &LocalLangSmith) -> Fallible<ExitCode> {
    // It is a copy, and nobody else ever sees it.
    let config = config.with_endpoint(receiver.endpoint()).with_api_key("any").with_adopted_spool(true);
    let spool = replay(config.with_spool_dir(&directory.0))?;
    if let Some(trace) = receiver.traces().last() {
        print!("{} traces, the last of them:\n{trace}", receiver.traces().len());
    }
    // Parents may have been delivered long ago.
    let orphans = receiver.orphans();
    let violations = receiver.violations().into_iter().filter(|violation| !orphans.contains(violation));
    let violations: Vec<_> = violations.collect();
    for violation in violations.iter().take(5) {
        println!("violation: {violation}");
    }
    println!("{} runs delivered, {} violations", receiver.received(), violations.len());
    let clean = violations.is_empty() && left(&spool) == 0;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A client that is given the directory sends what is in it; there is nothing to do but to wait.
fn replay(config: Config) -> Fallible<SpoolStats> {
    let client = Client::new(config)?;
    let style = "{elapsed_precise} {wide_bar} {pos}/{len} files{msg}, {eta} left";
    let bar = ProgressBar::new(client.spool().waiting);
    bar.set_style(ProgressStyle::with_template(style)?);
    let (mut spool, mut moved) = (client.spool(), Instant::now());
    while spool.waiting > 0 && moved.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(if std::io::stderr().is_terminal() { 50 } else { 5 }));
        let now = client.spool();
        if now != spool {
            (spool, moved) = (now, Instant::now());
        }
        bar.set_length(spool.waiting + spool.delivered + spool.rejected);
        bar.set_position(spool.delivered + spool.rejected);
        bar.set_message(format!(", {} runs", spool.delivered_runs));
    }
    bar.finish_and_clear();
    client.shutdown(Duration::from_secs(5))?;
    let spool = client.spool();
    if spool.waiting > 0 {
        println!("{} files are left: LangSmith does not take them at the moment", spool.waiting);
    }
    if spool.other_destination > 0 {
        println!("{} files are meant for another destination; --adopt sends them too", spool.other_destination);
    }
    if spool.skipped > 0 {
        println!("{} files cannot be sent by this version or this user", spool.skipped);
    }
    if spool.rejected > 0 {
        println!("{} files were set aside, in the directory `rejected`", spool.rejected);
    }
    Ok(spool)
}

/// The files that were not delivered.
fn left(spool: &SpoolStats) -> u64 {
    spool.waiting + spool.other_destination + spool.skipped + spool.rejected
}

/// A directory that is removed in the end.
struct Copy(PathBuf);

impl Copy {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("replay-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn of(directory: &Path) -> std::io::Result<Self> {
        let copy = Self::new()?;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), copy.0.join(entry.file_name()))?;
            }
        }
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
