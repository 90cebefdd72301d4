//! What became of the runs, by the client's account, by the server's, and by what is on disk.

use crate::common::eventually;
use crate::common::weather::book::Book;
use crate::common::weather::runs::{is_forbidden, is_unwanted};
use crate::common::weather::Weather;
use crate::directory::Directory;
use crate::{Disk, Life, BATCH, CONCURRENCY, LIVES, TENANTS};
use opentelemetry_langsmith::{DropReason, SpoolStats, Stats};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What became of the runs of one life, as the application hears of it.
pub(crate) struct Account {
    /// The tenant's.
    pub(crate) key: &'static str,
    pub(crate) made: HashSet<Uuid>,
    /// Those among them that were made so that others are accepted.
    pub(crate) more: u64,
    pub(crate) given_up: HashMap<Uuid, DropReason>,
    pub(crate) stats: Stats,
    /// When the last file was gone, or the client was.
    pub(crate) spool: SpoolStats,
}

/// Each run of a life was acknowledged, or given up by name, or is on disk, or is one of those that are only counted; and the
/// counts agree.
pub(crate) fn check(what: &str, disk: Disk, account: &Account, weather: &Weather, directory: &Directory) {
    let Account { made, given_up, stats, .. } = account;
    let [kept, aside] = directory.runs().map(|runs| &runs & made);
    // What came and was not answered, or not in time, may be on disk too.
    let is_delivered = |book: &HashSet<Uuid>, run: &Uuid| {
        book.contains(run) && !given_up.contains_key(run) && !kept.contains(run) && !aside.contains(run)
    };
    // The server notes an acknowledgement when it is written, which the client may be ahead of.
    eventually(&format!("what is counted as sent has been acknowledged; {what}"), || {
        let book = weather.book();
        made.iter().filter(|run| is_delivered(&book.acknowledged, run)).count() as u64 == stats.sent
    });
    let book = weather.book();
    assert!(given_up.keys().all(|run| made.contains(run)), "{what}: only what was made is given up");
    assert_eq!(kept.len() as u64, stats.spooled, "{what}: what is on disk");
    assert!(disk != Disk::None || kept.is_empty(), "{what}: there is no disk");
    assert!(!kept.iter().any(|run| given_up.contains_key(run) || aside.contains(run)), "{what}: on disk and elsewhere");
    let named = |reason| given_up.values().filter(|told| **told == reason).count() as u64;
    let refused = named(DropReason::Refused) + aside.len() as u64;
    assert_eq!(refused, stats.dropped(DropReason::Refused), "{what}: {} are set aside", aside.len());
    let lost: Vec<_> = made
        .iter()
        .filter(|run| !book.acknowledged.contains(run) && !given_up.contains_key(run))
        .filter(|run| !kept.contains(run) && !aside.contains(run))
        .collect();
    assert_blamed(
        "given up",
        what,
        given_up.iter().filter(|(_, reason)| **reason == DropReason::Refused).map(|(run, _)| run),
        &book,
    );
    assert_blamed("set aside", what, aside.iter(), &book);
    let left_behind = named(DropReason::ShutDown);
    let unnamed = stats.dropped(DropReason::QueueFull) + stats.dropped(DropReason::ShutDown) - left_behind;
    assert_eq!(lost.len() as u64, unnamed, "{what}: {left_behind} were left behind by name");
    assert!(!lost.iter().any(|run| book.stored.contains(run)), "{what}: a run is stored that never was under way");
}

/// In the end no run is on disk: each was delivered, or given up.
pub(crate) fn check_all(seed: u64, accounts: &[Account], weather: &Weather, directory: &Directory) {
    let [kept, aside] = directory.runs();
    assert!(kept.is_empty(), "CHAOS_SEED={seed}: {} runs are left on disk", kept.len());
    let book = weather.book();
    assert_blamed("set aside", &format!("CHAOS_SEED={seed}"), aside.iter(), &book);
    let sum = |count: fn(&Account) -> u64| accounts.iter().map(count).sum::<u64>();
    let named =
        |account: &Account| account.given_up.values().filter(|told| **told == DropReason::Refused).count() as u64;
    let (mut delivered, mut set_aside) = (0, 0);
    for Account { key, made, given_up, .. } in accounts {
        let strange = made.iter().filter(|run| book.keys.get(run).is_some_and(|came| came != key)).count();
        assert_eq!(strange, 0, "CHAOS_SEED={seed}: they came with another tenant's key");
        let refused = given_up.iter().filter(|(_, reason)| **reason == DropReason::Refused).map(|(run, _)| run);
        let mut refused = refused.chain(made.intersection(&aside));
        assert!(!refused.any(|run| book.acknowledged.contains(run)), "CHAOS_SEED={seed}: refused, but delivered");
        let rest = || made.iter().filter(|run| !given_up.contains_key(run));
        delivered += rest().filter(|run| book.acknowledged.contains(run)).count() as u64;
        set_aside += rest().filter(|run| aside.contains(run)).count() as u64;
    }
    assert_eq!(
        set_aside,
        aside.len() as u64,
        "CHAOS_SEED={seed}: what is set aside was made here, and not given up before"
    );
    // Those that were set aside by the very client that had kept them are among its dropped ones.
    let by_later_clients = set_aside
        - accounts.iter().map(|account| account.stats.dropped(DropReason::Refused) - named(account)).sum::<u64>();
    let dropped = sum(|account| account.stats.dropped_total());
    assert_eq!(delivered + dropped + by_later_clients, sum(|account| account.stats.submitted), "CHAOS_SEED={seed}");
    assert!(!book.stored.iter().any(|run| is_unwanted(run) || is_forbidden(run)));
    assert!(book.strayed.is_empty(), "CHAOS_SEED={seed}: {} runs came with two keys", book.strayed.len());
    assert_eq!(book.from_forks, 0, "CHAOS_SEED={seed}: forked processes have sent something");
    // Only what a shutdown cut off is sent again although it was answered: what was on its way then, and one file.
    let restarts = LIVES.iter().filter(|(life, disk)| *life == Life::CutShort && *disk != Disk::None).count();
    let most = TENANTS.len() * restarts * (CONCURRENCY + 1) * BATCH;
    assert!(book.repeated.len() <= most, "CHAOS_SEED={seed}: {} runs came again", book.repeated.len());
}

/// What is refused is refused for itself: it came alone, and the answer was not about how it came.
fn assert_blamed<'a>(fate: &str, what: &str, runs: impl Iterator<Item = &'a Uuid>, book: &Book) {
    let innocent: Vec<_> = runs.filter(|run| !book.refused.contains(run)).collect();
    assert!(innocent.is_empty(), "{what}: {} are {fate} that were never refused by themselves", innocent.len());
}
