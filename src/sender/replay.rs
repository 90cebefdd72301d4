//! Sending what was kept on disk: when the client starts, and when the endpoint is back. One file at a
//! time and oldest first, with rests in between, so that it stays beside what is sent now.

use super::batch::Batch;
use super::circuit::{Pass, Refused};
use super::delivery::{Delivery, Hurry};
use super::spool::{Request, Saved, Sent, Spool};
use super::transport::Answer;
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
/// A file that failed so often in a row lets the others go first.
const STUCK: u32 = 5;

pub(crate) struct Replay {
    spool: Arc<Spool>,
    delivery: Arc<Delivery>,
    hurry: watch::Receiver<Hurry>,
    /// Failures since the last success.
    tries: u32,
    /// The file that failed last, and how often in a row.
    stuck: (String, u32),
}

/// Why a file's runs, or some of them, were not taken.
enum Obstacle {
    /// It may pass, and says little about the file.
    Passing(Answer),
    /// Nothing in this file will ever be taken.
    Lasting(String),
}

impl Replay {
    pub(crate) fn new(spool: Arc<Spool>, delivery: Arc<Delivery>, hurry: watch::Receiver<Hurry>) -> Self {
        Self { spool, delivery, hurry, tries: 0, stuck: (String::new(), 0) }
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
        let (stuck, times) = &self.stuck;
        if let Some(at) = names.iter().position(|name| name == stuck && *times >= STUCK) {
            let last = names.remove(at);
            names.push(last);
        }
        let mut sent_any = false;
        for name in names {
            // Where nobody else sends, this is what finds out whether LangSmith takes anything.
            let delivery = Arc::clone(&self.delivery);
            let pass = self.unless_over(delivery.enter()).await?;
            let Some((taken, saved)) = self.spool.take(name).await else { continue };
            let (began, runs) = (Instant::now(), saved.runs);
            let (sent, obstacle) = self.unless_over(self.send(saved)).await?;
            match obstacle {
                None => {
                    delivery.answered(pass, sent.delivered_runs > 0);
                    self.spool.settle(taken, sent).await;
                }
                Some(Obstacle::Lasting(why)) => {
                    delivery.answered(pass, false);
                    self.spool.set_aside(taken, &why).await;
                }
                Some(Obstacle::Passing(answer)) => {
                    let wait = self.after(&delivery, pass, answer, taken.name(), runs);
                    if sent.is_nothing() {
                        drop(taken); // which puts it back
                    } else {
                        self.spool.settle(taken, sent).await;
                    }
                    return Some(wait);
                }
            }
            sent_any = true;
            self.tries = 0;
            self.unless_over(sleep(began.elapsed().clamp(SHORTEST_REST, LONGEST_REST))).await?;
        }
        // Those that could not be taken are somebody else's at the moment.
        Some(if sent_any { Duration::ZERO } else { TAKEN_ELSEWHERE })
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

    /// Sends what a file holds, in parts where it is refused as a whole.
    async fn send(&self, saved: Saved) -> (Sent, Option<Obstacle>) {
        let mut sent = Sent::default();
        let batch = match saved.request {
            Request::Own(batch) => batch,
            Request::Foreign(foreign) if foreign.is_ambiguous => match foreign.to_batch(self.delivery.level()) {
                Some(batch) => batch,
                None => return (sent, Some(Obstacle::Lasting("its body is damaged".into()))),
            },
            Request::Foreign(foreign) => match self.delivery.transport.post_foreign(&foreign).await {
                Answer::Delivered => {
                    sent.delivered_runs = saved.runs;
                    return (sent, None);
                }
                // As a batch of this crate's it can be split, and sent to servers that take less.
                answer => match (foreign.to_batch(self.delivery.level()), answer) {
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
        self.send_parts(batch, sent).await
    }

    async fn send_parts(&self, batch: Batch, mut sent: Sent) -> (Sent, Option<Obstacle>) {
        let mut waiting = vec![(batch, false)];
        while let Some((batch, was_cut)) = waiting.pop() {
            let answer = self.delivery.transport.post(&batch).await;
            let too_large = matches!(answer, Answer::TooLarge { .. });
            match answer {
                Answer::Delivered => sent.delivered_runs += batch.runs,
                Answer::TooLarge { words } | Answer::Refused { words } => {
                    if let Some([first, second]) = batch.split(self.delivery.level()) {
                        waiting.extend([(second, was_cut), (first, was_cut)]);
                    } else if let Some(smaller) = (too_large && !was_cut).then(|| self.delivery.cut(&batch)).flatten() {
                        waiting.push((smaller, true));
                    } else {
                        self.delivery.tell_refused(&batch, &words);
                        sent.refused.push(batch);
                    }
                }
                Answer::NoMultipart => {
                    self.delivery.transport.features.no_multipart();
                    waiting.push((batch, was_cut));
                }
                Answer::NoCompression => match batch.uncompressed() {
                    Ok(batch) => waiting.push((batch, was_cut)),
                    Err(_) => sent.refused.push(batch),
                },
                answer => {
                    sent.left =
                        std::iter::once(batch).chain(waiting.into_iter().rev().map(|(batch, _)| batch)).collect();
                    return (sent, Some(Obstacle::Passing(answer)));
                }
            }
        }
        (sent, None)
    }

    fn count_failure(&mut self, name: String) {
        self.tries += 1;
        if self.stuck.0 == name {
            self.stuck.1 += 1;
        } else {
            self.stuck = (name, 1);
        }
    }

    /// Tells everybody what the endpoint said, and says how long to wait for other reasons than that.
    fn after(&mut self, delivery: &Delivery, pass: Pass<'_>, answer: Answer, name: String, runs: u64) -> Duration {
        match answer {
            // Whoever wants to send next waits for the circuit, and so does this.
            Answer::Unauthorized { status, words } => {
                let refused = Refused { status, runs, suspected: self.stuck.0 == name };
                self.count_failure(name);
                delivery.unauthorized(pass, refused, &words, self.tries);
            }
            Answer::RateLimited { words, after } => delivery.rate_limited(pass, &words, after, self.tries),
            Answer::Passing { after, .. } => {
                self.count_failure(name);
                // A server that is down is not asked more often than its answers ask for.
                let wait = delivery.wait_before(self.tries, None).max(delivery.wait_before(self.tries, after));
                pass.failed(wait);
                return wait;
            }
            // There is no LangSmith at this address.
            _ => {
                self.count_failure(name);
                delivery.answered(pass, false);
                return delivery.circuit.probe_interval();
            }
        }
        Duration::ZERO
    }
}
