//! Programs in other languages.

use crate::Fallible;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    JavaScript,
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::Python, Self::JavaScript];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }
}

/// Where the programs are, and where they send their runs.
pub(crate) struct Programs {
    directory: PathBuf,
    endpoint: String,
}

impl Programs {
    pub(crate) fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), endpoint: String::new() }
    }

    pub(crate) fn report_to(&mut self, endpoint: String) {
        self.endpoint = endpoint;
    }

    /// A file beside the programs.
    pub(crate) fn path(&self, language: Language, name: &str) -> PathBuf {
        self.directory.join(language.name()).join(name)
    }

    /// Runs a program to its end; what it prints.
    pub(crate) fn run(&self, language: Language, name: &str, argument: &str, project: &str) -> Fallible<String> {
        // Standard input stays open: the program ends with this one at the latest.
        let mut child = self.command(language, name, project).arg(argument).spawn()?;
        let input = child.stdin.take();
        let output = child.wait_with_output()?;
        drop(input);
        if !output.status.success() {
            return Err(format!("{name} in {}: {}", language.name(), output.status).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Starts a server, which prints its URL.
    pub(crate) fn serve(&self, language: Language, name: &str, project: &str) -> Fallible<Server> {
        let mut server = Server { child: self.command(language, name, project).spawn()?, url: String::new() };
        let output = server.child.stdout.as_mut().ok_or("no output")?;
        BufReader::new(output).read_line(&mut server.url)?;
        server.url.truncate(server.url.trim_end().len());
        if server.url.is_empty() {
            return Err(format!("{name} in {} did not start", language.name()).into());
        }
        Ok(server)
    }

    fn command(&self, language: Language, name: &str, project: &str) -> Command {
        let (interpreter, extension) = match language {
            Language::Python => (self.path(language, "venv/bin/python"), "py"),
            Language::JavaScript => ("node".into(), "js"),
        };
        let mut command = Command::new(interpreter);
        command
            .arg(self.path(language, name).with_extension(extension))
            .env("LANGSMITH_ENDPOINT", &self.endpoint)
            .env("LANGSMITH_API_KEY", "any")
            .env("LANGSMITH_TRACING", "true")
            .env("LANGSMITH_PROJECT", project)
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Drop for Server {
    /// It ends by itself when its standard input is closed, and sends what it has.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(reason) = self.child.wait() {
            eprintln!("a server did not end: {reason}");
        }
    }
}
