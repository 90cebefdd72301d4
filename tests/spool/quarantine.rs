//! What will not be sent is kept, wherever there is room for it, and nothing is said to be kept that is not.

use crate::common::{self, assert_adds_up, assert_flawless, eventually, in_time, log::Log, LONG};
use crate::{config, down, fill, name, run, submit, Directory};
use opentelemetry_langsmith::testing::Fault;
use opentelemetry_langsmith::{Client, DropReason};
use serde_json::json;
use std::fs;

const SMALL: usize = 65_536;

/// All files, those in `rejected` among them, with their sizes.
fn all(directory: &Directory) -> Vec<(String, u64)> {
    let mut all = directory.waiting();
    all.extend(directory.aside());
    all.iter().map(|file| (name(file), file.metadata().unwrap().len())).collect()
}

#[test]
fn damaged_files_and_no_room_for_them() {
    in_time(|| {
        let log = Log::start("warn");
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 1);
        for number in 0..3 {
            directory.put(&format!("trace_1000000000.{number:06}_00000001.json"), vec![b'x'; 50_000]);
        }
        // Larger than all that `rejected` may hold.
        directory.put("trace_1000000000.000004_00000001.json", vec![b'x'; 2 * SMALL]);
        let before = all(&directory).len();
        let client = Client::new(config(&server, &directory).with_spool_bytes(SMALL)).unwrap();
        eventually("all are looked at", || client.spool().waiting == 0);
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 1);
        assert_eq!(all(&directory).len(), before - 1, "nothing is deleted but what was delivered");
        let spool = client.spool();
        assert_eq!((spool.rejected, spool.skipped), (1, 3), "{spool:?}");
        assert_eq!(directory.aside().len(), 1);
        // What the log says is true.
        let path = directory.spool().display().to_string();
        eventually("both are told", || {
            let tells =
                |what: &str, file: &str| log.with(&path).iter().any(|line| line.contains(what) && line.contains(file));
            tells("rejected", "000000_00000001") && tells("stays", "000001_00000001")
        });
    });
}

/// Each run that is refused while its file is taken apart is somewhere, too.
#[test]
fn refused_runs_and_no_room_for_them() {
    in_time(|| {
        let (server, directory) = (down(), Directory::new());
        let config = config(&server, &directory).with_spool_bytes(3 * SMALL).without_compression();
        let client = Client::new(config).unwrap();
        for number in 0..4 {
            client.submit(run(number, 20_000)).unwrap();
        }
        client.flush(LONG).unwrap();
        fs::create_dir(directory.spool().join("rejected")).unwrap();
        fs::write(
            directory.spool().join("rejected").join("trace_1000000000.000000_00000001.json"),
            vec![b'x'; 3 * SMALL],
        )
        .unwrap();
        let [refused, fine] = [|| Fault::status(400), || Fault::ok()];
        server.respond([refused(), fine(), refused(), fine(), refused()]);
        eventually("the others are delivered", || server.received() == 3);
        eventually("the file is settled", || client.spool().waiting == 0);
        let (stats, spool) = (client.stats(), client.spool());
        assert_adds_up(&stats);
        assert_eq!((stats.sent, stats.spooled, stats.dropped_total()), (3, 1, 0), "{stats:?}");
        assert_eq!((spool.rejected, spool.skipped), (0, 1), "{spool:?}");
        assert_eq!(directory.waiting().len(), 1);
        client.shutdown(LONG).unwrap();

        // With room, the next client puts it where it belongs.
        fs::remove_dir_all(directory.spool().join("rejected")).unwrap();
        server.respond(Fault::status(400).forever());
        let next = Client::new(crate::config(&server, &directory)).unwrap();
        eventually("it is set aside", || next.spool().rejected == 1);
        assert_eq!((directory.waiting().len(), directory.aside().len()), (0, 1));
        assert_eq!(next.stats().dropped(DropReason::Refused), 0);
    });
}

/// A later version of either side has written them, and will send them.
#[test]
fn files_of_a_later_version_are_not_touched() {
    in_time(|| {
        let log = Log::start("warn");
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 1);
        let versions = [json!(2), json!(0), json!(1.5), json!("1"), json!(1_u64 << 40), json!({"major": 2})];
        for (number, version) in versions.iter().enumerate() {
            let file = json!({"version": version, "packed": "in a way that nobody knows yet"});
            directory.put(&format!("trace_1000000000.{number:06}_00000001.json"), file.to_string());
        }
        let before = all(&directory);
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("all are looked at", || client.spool().waiting == 0);
        client.shutdown(LONG).unwrap();
        assert_flawless(&server, 1);
        let spool = client.spool();
        assert_eq!((spool.rejected, spool.skipped), (0, versions.len() as u64), "{spool:?}");
        assert_eq!(all(&directory), before[..before.len() - 1]);
        let path = directory.spool().display().to_string();
        eventually("it is told", || log.with(&path).iter().any(|line| line.contains("version")));
    });
}

/// Nobody reads it into memory, and nobody removes it.
#[test]
fn a_file_that_is_too_large_is_not_touched() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 1);
        let large = directory.put("trace_1000000000.000000_00000001.json", "");
        fs::File::options().write(true).open(&large).unwrap().set_len(1 << 40).unwrap();
        let client = Client::new(config(&server, &directory)).unwrap();
        eventually("all are looked at", || client.spool().waiting == 0);
        assert_flawless(&server, 1);
        assert_eq!((client.spool().rejected, client.spool().skipped), (0, 1));
        assert_eq!(large.metadata().unwrap().len(), 1 << 40);
        submit(&client, 1);
        client.flush(LONG).unwrap();
    });
}
