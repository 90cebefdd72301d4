//! Made-up traces to try the upload on: a chain with a model's call below it, as a small agent would leave them, and
//! here and there what real exports have.

use std::io::{self, Write};

use chrono::{DateTime, Duration, Utc};
use serde_json::{json, Value};
use uuid::Uuid;

/// Writes `runs` runs, two a trace, as one JSON list. The same seed writes the same file.
pub(crate) fn generate(mut out: impl Write, runs: u64, seed: u64) -> io::Result<()> {
    let mut random = Random(seed);
    out.write_all(b"[")?;
    for number in 0..runs.div_ceil(2) {
        let (parent, child) = trace(number, &mut random);
        let separator = if number == 0 { "\n" } else { ",\n" };
        write!(out, "{separator}{parent}")?;
        if 2 * number + 1 < runs {
            write!(out, ",\n{child}")?;
        }
    }
    out.write_all(b"\n]\n")
}

fn trace(number: u64, random: &mut Random) -> (Value, Value) {
    const QUESTIONS: [&str; 4] =
        ["Where is my parcel?", "Cancel my order, please.", "Do you ship to Utrecht?", "Why was I charged twice?"];
    let question = QUESTIONS[random.below(4)];
    let start =
        DateTime::<Utc>::UNIX_EPOCH + Duration::seconds(1_760_000_000) + Duration::milliseconds(37 * signed(number));
    let asked = start + Duration::microseconds(signed(random.next() % 20_000));
    let answered = asked + Duration::milliseconds(200 + signed(random.next() % 2_000));
    let end = answered + Duration::milliseconds(3);
    let (id, llm) = (random.uuid(), random.uuid());
    let answer = format!("Let me look that up for order {}.", random.next() % 1_000_000);
    let (input, output) = (200 + random.next() % 800, 20 + random.next() % 100);
    // Some tools write times without a zone, some in their own.
    let time = |time: DateTime<Utc>| match number % 3 {
        0 => time.naive_utc().format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
        1 => time.to_rfc3339(),
        _ => (time + Duration::hours(2)).naive_utc().format("%Y-%m-%dT%H:%M:%S%.6f+02:00").to_string(),
    };
    let failed = number % 50 == 7;
    let parent = json!({
        "id": id, "trace_id": id, "parent_run_id": null, "name": "support_agent", "run_type": "chain",
        "start_time": time(start), "end_time": time(end),
        "inputs": {"question": question}, "outputs": {"answer": answer},
        "tags": ["synthetic"], "extra": {"metadata": {"thread_id": format!("thread-{}", number / 5)}},
        "feedback_stats": null, "total_tokens": input + output,
    });
    let child = json!({
        "id": llm, "trace_id": id, "parent_run_id": id, "name": "ChatOpenAI", "run_type": "llm",
        "start_time": time(asked), "end_time": time(answered),
        "inputs": {"messages": [
            {"role": "system", "content": "You help customers of a shop."},
            {"role": "user", "content": question},
        ]},
        "outputs": if failed { Value::Null } else { json!({"messages": [{"role": "assistant", "content": answer}]}) },
        "error": if failed { json!("RateLimitError: try again later") } else { Value::Null },
        "extra": {
            "metadata": {
                "ls_provider": "openai", "ls_model_name": "gpt-4o-mini",
                "usage_metadata": {"input_tokens": input, "output_tokens": output, "total_tokens": input + output},
            },
            "invocation_params": {"temperature": 0.2},
        },
    });
    (parent, child)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// `SplitMix64`: small, and good enough for made-up data.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }

    fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes((u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes())
            .into_uuid()
    }
}
