//! Inputs that once did harm, or that no luck would make: they are tried at every run.

use super::{
    clouds::{Bench, everything},
    stations::play,
};
use crate::conformance::{helios, rivoli, volta};

/// Documents as large and as deep as an answer may be.
fn giants() -> Vec<String> {
    let deep = 100_000;
    vec![
        "[".repeat(deep),
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("{}1{}", "{\"vehicles\":".repeat(20_000), "}".repeat(20_000)),
        format!("{{\"vehicles\":[{}]}}", vec!["{}"; 80_000].join(",")),
        format!("[{}]", vec!["{\"id\":\"a\"}"; 20_000].join(",")),
        format!(
            "{{\"account_id\":\"va_1\",\"changes\":[{}]}}",
            vec!["{}"; 80_000].join(",")
        ),
        format!("{{\"id\":\"{}\"}}", "x".repeat(200_000)),
        format!("{{\"ts\":{}}}", "9".repeat(200_000)),
    ]
}

/// A site's time of before the year 0, which was shown as `--0027-…`, and one of the year 9999.
#[test]
fn times_that_cannot_be_are_none() {
    let bench = Bench::new(helios());
    let live = include_str!("../../../fixtures/helios/live.json");
    for time in [
        "-63000000000000",
        "-62135596800001",
        "253402207200000",
        "\"-63000000000000\"",
    ] {
        let body = live.replace("1772475610000", time);
        assert_ne!(body, live);
        bench.read(body.as_bytes(), &helios().wanted);
    }
}

#[test]
fn giants_take_no_longer_than_dwarfs() {
    let benches = [
        Bench::new(volta()),
        Bench::new(rivoli()),
        Bench::new(helios()),
    ];
    for giant in giants() {
        let began = std::time::Instant::now();
        for bench in &benches {
            bench.read(giant.as_bytes(), &everything());
            bench.sign_in(giant.as_bytes(), 0);
        }
        benches[0].push(giant.as_bytes());
        play([giant.as_bytes()]);
        let took = began.elapsed();
        assert!(took.as_secs() < 20, "{took:?} for {} bytes", giant.len());
    }
}
