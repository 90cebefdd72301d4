//! Sending what was kept on disk: when the client starts, and when the endpoint is back. One file at a
//! time and oldest first, with rests in between, so that it stays beside what is sent now. A file that is refused while
//! others are taken is taken apart, and what is to blame in it goes last and is set aside in the end.

mod records;

use super::batch::Batch;
use super::circuit::{Pass, Refused};
use super::delivery::{Delivery, Hurry};
use super::in_flight::Piece;
use super::spool::{Request, Saved, Sent, Spool, Taken};
use super::transport::Answer;
use records::Records;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, Instant};

/// After a file it rests for as long as that took, between these two.
const SHORTEST_REST: Duration = Duration::from_millis(10);
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How often it looks whether another process has left files to it.
const TAKEN_ELSEWHERE: Duration = Duration::from_secs(5);
/// However short waits are configured to be: a replay has no end of its own.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// So many requests in a row are refused until the key is to blame, and not what is in them: one in a hundred runs is found
/// in seven.
const MOST_REFUSALS: u32 = 16;
/// What firewalls answer to content, and LangSmith to a key.
const FORBIDDEN: u16 = 403;

pub(crate) struct Replay {
    spool: Arc<Spool>,
    delivery: Arc<Delivery>,
    hurry: watch::Receiver<Hurry>,
    /// Failures since the last success.
    tries: u32,
    records: Records,
}

/// Why a file's runs, or some of them, were not taken.
enum Obstacle {
    /// It may pass, and says little about the file.
    Passing(Answer),
    /// Nothing in this file will ever be taken.
    Lasting(String),
    /// It holds one run, or cannot be taken apart, and is refused though others are taken.
    Suspect,
}

impl Replay {
    pub(crate) fn new(spool: Arc<Spool>, delivery: Arc<Delivery>, hurry: watch::Receiver<Hurry>) -> Self {
        Self { spool, delivery, hurry, tries: 0, records: Records::default() }
    }

    /// Works until the last flush begins. A file that is on its way then is put back; what was answered is
    /// brought to its end.
    pub(crate) async fn run(mut self) {
        let mut listed = self.spool.look().await;
        loop {
            let (waiting, others) = listed;
            let wait = if waiting.is_empty() {
                self.tries = 0;
                // What is kept now could not be delivered a moment ago.
                let again = self.delivery.wait_before(1, None);
                if others {
                    Some(TAKEN_ELSEWHERE)
                } else {
                    self.unless_over(self.spool.something_kept()).await.map(|()| again)
                }
            } else {
                self.send_all(waiting).await
            };
            let Some(wait) = wait else { return };
            if self.unless_over(self.spool.endpoint_back(wait.max(SHORTEST_WAIT))).await.is_none() {
                return;
            }
            listed = self.spool.list().await;
        }
    }

    /// Sends files until one meets an obstacle, and says how long to wait then; `None` when all is over.
    async fn send_all(&mut self, mut names: Vec<String>) -> Option<Duration> {
        let refused_wait = self.records.order(&mut names, self.spool.accepted());
        let mut sent_any = false;
        let mut suspects = false;
        for name in names {
            if self.records.is_given_up(&name, self.spool.accepted()) {
                self.give_up(name).await;
                continue;
            }
            // Where nobody else sends, this is what finds out whether LangSmith takes anything.
            let delivery = Arc::clone(&self.delivery);
            let pass = self.unless_over(delivery.enter()).await?;
            let Some((taken, saved)) = self.spool.take(name.clone()).await else { continue };
            let (began, runs) = (Instant::now(), saved.runs);
            let is_suspect = self.records.is_suspect(&name, self.spool.accepted());
            let Some((mut sent, obstacle)) = self.unless_over(self.send(saved, is_suspect)).await else {
                self.spool.put_back(taken).await;
                return None;
            };
            self.refuse_suspects(&mut sent);
            match obstacle {
                None => {
                    delivery.answered(pass, sent.delivered_runs > 0);
                    self.records.taken(&name);
                    suspects |= !sent.suspects.is_empty();
                    if !self.settle(taken, sent).await {
                        return Some(self.after_disk_error());
                    }
                }
                Some(Obstacle::Lasting(why)) => {
                    delivery.answered(pass, false);
                    self.spool.set_aside(taken, &why).await;
                }
                Some(Obstacle::Suspect) => {
                    delivery.answered(pass, false);
                    self.records.refused_alone(name, self.spool.accepted());
                    self.spool.put_back(taken).await;
                    suspects = true;
                    continue;
                }
                Some(Obstacle::Passing(answer)) => {
                    let wait = self.after(&delivery, pass, answer, name, runs);
                    if sent.is_nothing() {
                        self.spool.put_back(taken).await;
                    } else if !self.settle(taken, sent).await {
                        return Some(wait.max(self.after_disk_error()));
                    }
                    return Some(wait);
                }
            }
            sent_any = true;
            self.tries = 0;
            self.unless_over(sleep(began.elapsed().clamp(SHORTEST_REST, LONGEST_REST))).await?;
            if refused_wait {
                return Some(Duration::ZERO);
            }
        }
        if suspects {
            // Others that are taken show what to do with them, and need not wait for that.
            return Some(self.delivery.circuit.probe_interval());
        }
        // Those that could not be taken are somebody else's at the moment.
        Some(if sent_any { Duration::ZERO } else { TAKEN_ELSEWHERE })
    }

    async fn give_up(&mut self, name: String) {
        if let Some((taken, _)) = self.spool.take(name.clone()).await {
            self.spool.set_aside(taken, "it is refused again and again, and others are taken").await;
            self.records.taken(&name);
        }
    }

    /// Runs that were refused, and others were taken after them.
    fn refuse_suspects(&self, sent: &mut Sent) {
        let accepted = self.spool.accepted();
        let (refused, left) = std::mem::take(&mut sent.suspects).into_iter().partition(|(_, at)| *at < accepted);
        let refused: Vec<_> = refused;
        sent.suspects = left;
        sent.refused.extend(refused.into_iter().map(|(batch, _)| batch));
    }

    /// What is done of a file is sent again if the disk does not take what is left, so that is not tried often.
    fn after_disk_error(&mut self) -> Duration {
        self.tries += 1;
        self.delivery.circuit.probe_interval().max(self.delivery.wait_before(self.tries, None))
    }

    /// Says whether the disk took it.
    async fn settle(&mut self, taken: Taken, sent: Sent) -> bool {
        let at: Vec<_> = sent.suspects.iter().map(|(_, at)| *at).collect();
        let Some(rewritten) = self.spool.settle(taken, sent).await else { return false };
        for (name, accepted) in rewritten.suspects.into_iter().zip(at) {
            self.records.refused_alone(name, accepted);
        }
        true
    }

    /// Waits for something, but not when the last flush has begun.
    async fn unless_over<T>(&self, something: impl Future<Output = T>) -> Option<T> {
        let mut hurry = self.hurry.clone();
        tokio::select! {
            biased;
            _ = hurry.wait_for(|hurry| hurry.last) => None,
            result = something => Some(result),
        }
    }

    /// Sends what a file holds, in parts where it is refused as a whole, or where it is `suspect` and the key seems to be.
    async fn send(&self, saved: Saved, suspect: bool) -> (Sent, Option<Obstacle>) {
        let mut sent = Sent::default();
        let batch = match saved.request {
            Request::Own(batch) => batch,
            Request::Foreign(foreign) if foreign.is_ambiguous => match foreign.to_batch(self.delivery.level()) {
                Some(batch) => batch,
                None => return (sent, Some(Obstacle::Lasting("its body is damaged".into()))),
            },
            Request::Foreign(foreign) => match self.delivery.transport.post_foreign(&foreign).await {
                Answer::Delivered { .. } => {
                    self.spool.note_accepted();
                    sent.delivered_runs = saved.runs;
                    return (sent, None);
                }
                // As a batch of this crate's it can be split, and sent to servers that take less.
                answer => match (foreign.to_batch(self.delivery.level()), answer) {
                    (Some(batch), answer) if suspect && is_about_all(&answer) => batch,
                    (None, answer) if suspect && is_about_all(&answer) => return (sent, Some(Obstacle::Suspect)),
                    (
                        _,
                        answer @ (Answer::Passing { .. }
                        | Answer::RateLimited { .. }
                        | Answer::Unauthorized { .. }
                        | Answer::RefusedWhole { .. }),
                    ) => {
                        return (sent, Some(Obstacle::Passing(answer)));
                    }
                    (Some(batch), _) => batch,
                    (None, answer) => {
                        return (sent, Some(Obstacle::Lasting(format!("LangSmith does not take it: {answer:?}"))))
                    }
                },
            },
        };
        self.send_parts(batch, sent, suspect).await
    }

    async fn send_parts(&self, batch: Batch, mut sent: Sent, suspect: bool) -> (Sent, Option<Obstacle>) {
        let level = self.delivery.level();
        let mut waiting = vec![Piece::new(batch)];
        let mut refusals = 0;
        while let Some(piece) = waiting.pop() {
            let batch = &piece.batch;
            let answer = self.delivery.transport.post(batch).await;
            let too_large = matches!(answer, Answer::TooLarge { .. });
            match answer {
                Answer::Delivered { left_out } => {
                    self.spool.note_accepted();
                    self.delivery.note_left_out(left_out);
                    self.delivery.learned_of_zstd(&piece);
                    sent.delivered_runs += batch.runs;
                    refusals = 0;
                }
                answer if suspect && is_about_all(&answer) && refusals < MOST_REFUSALS => {
                    refusals += 1;
                    if let Some(halves) = piece.split(0, level) {
                        waiting.extend(halves.into_iter().rev());
                    } else if sent.is_nothing() && waiting.is_empty() {
                        return (sent, Some(Obstacle::Suspect));
                    } else {
                        sent.suspects.push((piece.batch, self.spool.accepted()));
                    }
                }
                // What it was written for may have been another server, which did read zstd.
                Answer::Refused { words } if self.delivery.may_be_zstd(batch, &words) => {
                    plain(piece, &mut waiting, &mut sent);
                }
                Answer::TooLarge { words } | Answer::Refused { words } => {
                    if let Some(halves) = piece.split(0, level) {
                        waiting.extend(halves.into_iter().rev());
                    } else if let Some(batch) =
                        (too_large && !piece.was_cut).then(|| self.delivery.cut(batch)).flatten()
                    {
                        waiting.push(Piece { batch, was_cut: true, ..piece });
                    } else {
                        self.delivery.tell_refused(batch, &words);
                        sent.refused.push(piece.batch);
                    }
                }
                Answer::NoMultipart => {
                    self.delivery.transport.features.no_multipart();
                    waiting.push(piece);
                }
                Answer::NoCompression => {
                    self.delivery.transport.features.no_zstd();
                    plain(piece, &mut waiting, &mut sent);
                }
                answer => {
                    waiting.push(piece);
                    sent.left = waiting.into_iter().rev().map(|piece| piece.batch).collect();
                    return (sent, Some(Obstacle::Passing(answer)));
                }
            }
        }
        (sent, None)
    }

    /// Tells everybody what the endpoint said, and says how long to wait for other reasons than that.
    fn after(&mut self, delivery: &Delivery, pass: Pass<'_>, answer: Answer, name: String, runs: u64) -> Duration {
        match answer {
            // Whoever wants to send next waits for the circuit, and so does this.
            Answer::Unauthorized { status, words } => {
                let refused = Refused { status, runs, suspected: self.records.knows(&name), has_siblings: false };
                if status == FORBIDDEN {
                    self.records.refused(name, self.spool.accepted());
                }
                delivery.unauthorized(pass, refused, &words, self.tries);
                // Whoever sends now finds out sooner whether it was for what the file says.
                if delivery.circuit.open().is_none() {
                    return delivery.circuit.probe_interval();
                }
            }
            Answer::RateLimited { words, after } => delivery.rate_limited(pass, &words, after, self.tries),
            Answer::Passing { after, .. } => {
                self.tries += 1;
                self.records.failed(name, self.spool.accepted());
                // A server that is down is not asked more often than its answers ask for.
                let wait = delivery.wait_before(self.tries, None).max(delivery.wait_before(self.tries, after));
                pass.failed(wait);
                return wait;
            }
            // There is no LangSmith at this address.
            _ => {
                self.tries += 1;
                self.records.refused(name, self.spool.accepted());
                delivery.answered(pass, false);
                return delivery.circuit.probe_interval();
            }
        }
        Duration::ZERO
    }
}

/// The same runs are to be sent without compression.
fn plain(piece: Piece, waiting: &mut Vec<Piece>, sent: &mut Sent) {
    match piece.batch.uncompressed() {
        Ok(batch) => waiting.push(Piece { batch, was_compressed: true, ..piece }),
        Err(_) => sent.refused.push(piece.batch),
    }
}

/// Whether an answer seems to be about all that could be sent, though it may be about what was.
fn is_about_all(answer: &Answer) -> bool {
    matches!(answer, Answer::Unauthorized { status: FORBIDDEN, .. } | Answer::RefusedWhole { .. })
}
