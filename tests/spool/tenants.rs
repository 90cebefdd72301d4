//! Several tenants and one directory: a file goes to where it was meant for, or stays.

use crate::common::{self, assert_flawless, eventually, in_time, log::Log, posts, KEY, LONG};
use crate::{config, fill, name, run, submit, Directory};
use opentelemetry_langsmith::testing::LocalLangSmith;
use opentelemetry_langsmith::{Client, Config};
use std::fs;

const OTHER_KEY: &str = "lsv2_pt_of_somebody_else";

/// Written by LangSmith's SDK for Python, which says nothing of where they are meant for.
const PYTHON: &str = include_str!("python/zstd.json");

/// Waits until the client has looked at every file, and gives back how many it leaves to others.
fn left_to_others(client: &Client) -> u64 {
    eventually("all files were looked at", || client.spool().waiting == 0);
    client.spool().other_destination
}

/// Who sends what to this server.
fn keys(server: &LocalLangSmith) -> Vec<String> {
    posts(server).iter().map(|request| request.header("x-api-key").unwrap_or_default().to_owned()).collect()
}

#[test]
fn files_of_another_key_stay() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 3);
        let before: Vec<_> = directory.waiting().iter().map(|file| fs::read(file).unwrap()).collect();
        let other = Client::new(config(&server, &directory).with_api_key(OTHER_KEY)).unwrap();
        assert_eq!(left_to_others(&other), 3);
        other.submit(run("own", 32)).unwrap();
        other.flush(LONG).unwrap();
        assert_eq!(left_to_others(&other), 3);
        assert_eq!((keys(&server), server.received()), (vec![OTHER_KEY.to_owned()], 1));
        let after: Vec<_> = directory.waiting().iter().map(|file| fs::read(file).unwrap()).collect();
        assert!(before == after, "they are as they were");
        assert!(directory.aside().is_empty());

        // Who they belong to sends them meanwhile.
        let first = Client::new(config(&server, &directory)).unwrap();
        eventually("the files are gone", || first.spool().waiting == 0);
        assert_eq!(keys(&server)[1..], [KEY, KEY, KEY]);
        assert_flawless(&server, 4);
        assert_eq!((other.spool().other_destination, first.spool().other_destination), (0, 0));
    });
}

/// The server and the workspace say who a tenant is as much as the key does.
#[test]
fn files_of_another_server_or_workspace_stay() {
    in_time(|| {
        let (server, elsewhere, directory) = (common::server(), common::server(), Directory::new());
        fill(&server, &directory, 2);
        let same = || config(&server, &directory);
        for other in [
            config(&elsewhere, &directory),
            same().with_workspace_id("b"),
            same().with_endpoint(format!("{}/api/v1", server.endpoint())),
            same().with_endpoint(server.endpoint().replace("://", "://user:word@")),
        ] {
            let client = Client::new(other.clone()).unwrap();
            assert_eq!(left_to_others(&client), 2, "{other:?}");
        }
        assert_eq!(posts(&server).len() + posts(&elsewhere).len(), 0);
        // It is the same place, written in another way.
        let same = same().with_endpoint(format!("{}/", server.endpoint().to_uppercase()));
        let client = Client::new(same).unwrap();
        eventually("the files are gone", || client.spool().waiting == 0);
        assert_flawless(&server, 2);
    });
}

#[test]
fn files_that_name_no_destination_are_sent_by_whoever_comes() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 1);
        // As an earlier version wrote it.
        let path = directory.waiting().remove(0);
        let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        file.as_object_mut().unwrap().remove("destination");
        fs::write(path, file.to_string()).unwrap();
        directory.put("trace_1795262503.094509_20923481.json", PYTHON);
        let client = Client::new(config(&server, &directory).with_api_key(OTHER_KEY)).unwrap();
        assert_eq!(left_to_others(&client), 0);
        assert_flawless(&server, 3);
        assert_eq!(keys(&server), [OTHER_KEY, OTHER_KEY]);
    });
}

/// What cannot be understood is meant for somebody, and not for whoever reads it.
#[test]
fn a_destination_that_nobody_can_read_is_another_one() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 1);
        let path = directory.waiting().remove(0);
        let whole: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        fs::remove_file(&path).unwrap();
        let destination = &whole["destination"];
        let changed = |field: &str, value: &str| {
            let mut changed = destination.clone();
            changed[field] = value.into();
            changed
        };
        let strange = [
            serde_json::json!({}),
            serde_json::json!([]),
            serde_json::json!("here"),
            changed("digest", ""),
            changed("digest", "00"),
            changed("salt", "00"),
            changed("salt", "zz"),
            serde_json::json!({"url": destination["url"], "tenant": {"id": 7}}),
        ];
        for (number, strange) in strange.iter().enumerate() {
            let mut file = whole.clone();
            file["destination"] = strange.clone();
            directory.put(&format!("trace_1795262503.{number:06}_00000001.json"), file.to_string());
        }
        let client = Client::new(config(&server, &directory)).unwrap();
        assert_eq!(left_to_others(&client), strange.len() as u64);
        assert_eq!(posts(&server).len(), 0);
    });
}

#[test]
fn a_key_that_was_changed() {
    in_time(|| {
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 2);
        let config = config(&server, &directory).with_api_key("todays-key").with_previous_api_keys([OTHER_KEY, KEY]);
        assert!(!format!("{config:?}").contains(KEY), "{config:?}");
        let client = Client::new(config).unwrap();
        assert_eq!(left_to_others(&client), 0);
        assert_flawless(&server, 2);
        assert_eq!(keys(&server), ["todays-key", "todays-key"]);
    });
}

#[test]
fn all_files_on_purpose() {
    in_time(|| {
        let (server, elsewhere, directory) = (common::server(), common::server(), Directory::new());
        fill(&elsewhere, &directory, 2);
        let config = config(&server, &directory).with_api_key(OTHER_KEY).with_adopted_spool(true);
        let client = Client::new(config).unwrap();
        assert_eq!(left_to_others(&client), 0);
        assert_flawless(&server, 2);
        assert_eq!(posts(&elsewhere).len(), 0);
    });
}

/// One line names a file and where it is meant for, and no secret.
#[test]
fn it_is_told_once() {
    in_time(|| {
        let log = Log::start("warn");
        let (server, directory) = (common::server(), Directory::new());
        fill(&server, &directory, 3);
        let file = name(&directory.waiting()[0]);
        let client = Client::new(config(&server, &directory).with_api_key(OTHER_KEY)).unwrap();
        assert_eq!(left_to_others(&client), 3);
        client.shutdown(LONG).unwrap();
        let path = directory.spool().display().to_string();
        let about = || log.with(&path).into_iter().filter(|line| line.contains("another")).collect::<Vec<_>>();
        eventually("it is told", || !about().is_empty());
        let lines = about();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(&file) && lines[0].contains(&server.endpoint()), "{lines:?}");
        assert!(lines[0].contains("with_previous_api_keys"), "{lines:?}");
        assert!(!log.text().contains(KEY) && !log.text().contains(OTHER_KEY), "{lines:?}");
    });
}

/// They take their part of the directory's bytes, and whoever therefore has no room is told so.
#[test]
fn files_of_others_count_and_are_named_when_it_is_full() {
    in_time(|| {
        let log = Log::start("warn");
        let (server, directory) = (crate::down(), Directory::new());
        let budget = |config: Config| config.with_spool_bytes(65_536).without_compression();
        let first = Client::new(budget(config(&server, &directory))).unwrap();
        first.submit(run("large", 45_000)).unwrap();
        first.shutdown(LONG).unwrap();
        let client = Client::new(budget(config(&server, &directory)).with_api_key(OTHER_KEY)).unwrap();
        assert_eq!(left_to_others(&client), 1);
        client.submit(run("no room", 20_000)).unwrap();
        assert!(client.shutdown(LONG).unwrap_err().to_string().contains("1 spool full"));
        let path = directory.spool().display().to_string();
        eventually("it is told", || {
            let lines = log.with(&path);
            lines.iter().any(|line| line.contains("as many failed traces as it may") && line.contains("1 of them"))
        });
    });
}

/// Two tenants, one directory and an outage for both: nobody's runs go out under the other one's key.
#[test]
fn two_tenants_in_an_outage() {
    in_time(|| {
        let (server, directory) = (crate::down(), Directory::new());
        let client = |key: &str| Client::new(config(&server, &directory).with_api_key(key).with_batch_runs(1)).unwrap();
        let clients = [KEY, OTHER_KEY].map(|key| (key, client(key)));
        for (key, client) in &clients {
            for number in 0..10 {
                client.submit(run(format!("{key} {number}"), 32)).unwrap();
            }
            client.flush(LONG).unwrap();
        }
        server.clear();
        server.respond([]);
        // The endpoint is back when something is delivered.
        for (_, client) in &clients {
            submit(client, 1);
        }
        eventually("the files are gone", || directory.waiting().is_empty());
        eventually("all came", || server.received() == 22);
        for request in posts(&server) {
            let key = request.header("x-api-key").unwrap();
            for id in &request.run_ids {
                let run = server.runs().into_iter().find(|run| run.id == *id).unwrap();
                assert!(run.name.starts_with(key) || run.name == "0", "{} came with {key}", run.name);
            }
        }
        assert_flawless(&server, 22);
    });
}
