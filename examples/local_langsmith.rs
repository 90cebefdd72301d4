//! A LangSmith of your own on loopback: shows each trace as it completes, and what is wrong with it.
//!
//! ```text
//! cargo run --example local_langsmith --features testing -- --port 1984
//! ```
//! Any LangSmith SDK can send to it; nothing leaves the machine. It runs until Ctrl-C, or with
//! `--exit-after N` until N traces were shown.

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use opentelemetry_langsmith::testing::LocalLangSmith;

/// A child may come before its parent, so what looks like a violation must stand this long to be shown.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Options {
    port: u16,
    exit_after: Option<usize>,
    help: bool,
}

impl Options {
    fn read() -> Result<Self, lexopt::Error> {
        let mut options = Self::default();
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("port") => options.port = arguments.value()?.parse()?,
                Long("exit-after") => options.exit_after = Some(arguments.value()?.parse()?),
                Short('h') | Long("help") => options.help = true,
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("{fault}\nusage: local_langsmith [--port N] [--exit-after TRACES]");
            return ExitCode::from(2);
        }
    };
    if options.help {
        println!("usage: local_langsmith [--port N] [--exit-after TRACES]");
        return ExitCode::SUCCESS;
    }
    let local = match LocalLangSmith::start_on(options.port) {
        Ok(local) => local,
        Err(fault) => {
            eprintln!("cannot listen on port {}: {fault}", options.port);
            return ExitCode::FAILURE;
        }
    };
    // A reader that went away, `head` perhaps, is no failure.
    let clean = watch(&local, options.exit_after).unwrap_or(true);
    ExitCode::from(u8::from(!clean))
}

/// Shows traces until enough were shown; whether all of it was without a violation.
fn watch(local: &LocalLangSmith, exit_after: Option<usize>) -> io::Result<bool> {
    let mut out = io::stdout();
    writeln!(out, "A local LangSmith listens; point a program at it with")?;
    writeln!(out, "  export LANGSMITH_ENDPOINT={}", local.endpoint())?;
    writeln!(out, "  export LANGSMITH_API_KEY=anything LANGSMITH_TRACING=true\n")?;
    let mut faults = Faults::default();
    let mut shown = HashSet::new();
    while exit_after.is_none_or(|traces| shown.len() < traces) {
        if let Some(trace) = local.next_trace(Duration::from_millis(250)) {
            writeln!(out, "{trace}")?;
            shown.insert(trace.trace_id);
        }
        faults.show(local.violations(), GRACE)?;
    }
    faults.show(local.violations(), Duration::ZERO)?;
    Ok(faults.0.is_empty())
}

/// The violations so far: when each was first seen, and nothing once it was shown.
#[derive(Default)]
struct Faults(HashMap<String, Option<Instant>>);

impl Faults {
    fn show(&mut self, now: Vec<String>, grace: Duration) -> io::Result<()> {
        let standing: HashSet<_> = now.iter().collect();
        self.0.retain(|fault, seen| seen.is_none() || standing.contains(fault));
        let mut out = io::stdout();
        let (red, plain) = if out.is_terminal() { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        for fault in now {
            let seen = self.0.entry(fault.clone()).or_insert_with(|| Some(Instant::now()));
            if seen.is_some_and(|seen| seen.elapsed() >= grace) {
                writeln!(out, "{red}violation: {fault}{plain}")?;
                *seen = None;
            }
        }
        Ok(())
    }
}
