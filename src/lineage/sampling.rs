//! Which traces are sent, where not all of them are.

/// Decides by the trace id alone, so that every service gives the same answer for the same trace.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sampling {
    /// Traces whose mixed ids are below are sent; `None` sends all.
    threshold: Option<u64>,
    /// The others are not left out at once: an error in them may show up.
    keep_errors: bool,
}

impl Sampling {
    /// `rate` is the part of all traces that is sent, 0 to 1.
    pub(crate) fn new(rate: f64, keep_errors: bool) -> Self {
        /// 2 to the power of 64.
        const ALL: f64 = 18_446_744_073_709_551_616.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast stops at the ends")]
        let threshold = (rate < 1.0).then_some((rate * ALL) as u64);
        Self { threshold, keep_errors: keep_errors && threshold.is_some() }
    }

    /// Whether a trace that begins here is sent.
    pub(crate) fn keeps(self, trace_id: u128) -> bool {
        self.threshold.is_none_or(|threshold| mix(trace_id) < threshold)
    }

    /// Whether a trace that begins here is sent, or may be sent for an error in it.
    pub(crate) fn may_keep(self, trace_id: u128) -> bool {
        self.keep_errors || self.keeps(trace_id)
    }

    /// Whether a trace that is not sent by its id may be sent for an error in it.
    pub(crate) fn keeps_errors(self) -> bool {
        self.keep_errors
    }
}

/// Spreads the bits of a trace id. OpenTelemetry's sampler by ratio compares the id as it is; by the same
/// bits, whatever it has sampled at 1 % would be sampled here at any other rate too.
fn mix(trace_id: u128) -> u64 {
    let spread = |mut bits: u64| {
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        bits ^ (bits >> 33)
    };
    #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let (high, low) = ((trace_id >> 64) as u64, trace_id as u64);
    spread(spread(high).wrapping_add(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_for_an_id_is_the_same_in_every_version() {
        // Services of different ages have to agree; these are never to change.
        assert_eq!(mix(0), 0);
        assert_eq!(mix(1), 0xB456_BCFC_34C2_CB2C);
        assert_eq!(mix(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736), mix(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736));
    }

    #[test]
    fn rates_hold_for_ids_that_count_up_and_for_what_a_ratio_sampler_let_through() {
        for rate in [0.0, 0.01, 0.25, 0.9, 1.0] {
            let sampling = Sampling::new(rate, false);
            for step in [1_u128, 1 << 64, 1 << 100, (1 << 64) + 1] {
                let kept = (1..=20_000).filter(|number| sampling.keeps(number * step)).count();
                #[allow(clippy::cast_precision_loss)]
                let part = kept as f64 / 20_000.0;
                assert!((part - rate).abs() < 0.012, "{part} of ids in steps of {step}, instead of {rate}");
            }
        }
    }

    #[test]
    fn a_higher_rate_keeps_all_that_a_lower_one_keeps() {
        let (few, many) = (Sampling::new(0.1, false), Sampling::new(0.3, false));
        assert!((0..10_000).all(|id| !few.keeps(id) || many.keeps(id)));
    }
}
