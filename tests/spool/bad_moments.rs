//! A directory that has a bad moment: what is in it is sent when that is over.

use crate::common::log::Log;
use crate::common::{eventually, in_time, server, LONG};
use crate::{config, down, fill, submit, Directory};
use opentelemetry_langsmith::Client;
use std::fs;

/// What cannot be looked at once is looked at again.
#[test]
fn a_look_that_fails_is_not_the_last_one() {
    in_time(|| {
        let log = Log::start("info");
        let (server, directory) = (down(), Directory::new());
        let client = Client::new(config(&server, &directory)).unwrap();
        submit(&client, 2);
        client.flush(LONG).unwrap();
        assert_eq!(client.stats().spooled, 2);
        // Something that is no directory stands in its place.
        let elsewhere = directory.0.join("elsewhere");
        fs::rename(directory.spool(), &elsewhere).unwrap();
        fs::write(directory.spool(), "").unwrap();
        let path = directory.spool().display().to_string();
        eventually("it is told", || log.with(&path).iter().any(|line| line.contains("no failed trace could be")));
        server.respond([]);
        fs::remove_file(directory.spool()).unwrap();
        fs::rename(&elsewhere, directory.spool()).unwrap();
        eventually("they are sent", || server.received() == 2);
        client.shutdown(LONG).unwrap();
    });
}

/// What stands in the place that a file gets while it is sent is told and counted, and the others are sent.
#[cfg(unix)]
#[test]
fn something_else_has_the_name_of_a_file_that_is_sent() {
    in_time(|| {
        let log = Log::start("info");
        let (server, directory) = (server(), Directory::new());
        fill(&server, &directory, 3);
        let blocked = directory.waiting().remove(1);
        fs::create_dir(blocked.with_extension("json.taken")).unwrap();
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("the others are sent", || server.received() == 2);
        eventually("it is counted", || client.spool().skipped == 1);
        let name = blocked.file_name().unwrap().to_str().unwrap().to_owned();
        eventually("it is told", || log.with(&name).len() == 1);
        assert!(blocked.exists());
        client.shutdown(LONG).unwrap();
    });
}

/// Whoever owns the directory can put files into it, whatever its mode is. Only root can try that.
#[cfg(unix)]
#[test]
fn the_owner_of_the_directory_is_a_stranger_too() {
    use std::os::unix::fs::{chown, MetadataExt};

    in_time(|| {
        let (server, directory) = (server(), Directory::new());
        fill(&server, &directory, 2);
        let file = directory.waiting().remove(0);
        if file.metadata().unwrap().uid() != 0 {
            return;
        }
        chown(directory.spool(), Some(65534), None).unwrap();
        chown(&file, Some(65534), None).unwrap();
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("the other one is sent", || server.received() == 1);
        eventually("it is counted", || client.spool().skipped == 1);
        assert!(file.exists());
        client.shutdown(LONG).unwrap();
    });
}
