//! Input of vendors and charge points, broken in every way that comes to mind: no panic, no absurd
//! value in a device, nothing that takes long.
//!
//! The tests run a fixed set of cases. `LIVEWATT_FUZZ_SECONDS=600 cargo test -p livewatt-vendors
//! --test it fuzz:: -- --nocapture --test-threads=1` runs new ones for so long each;
//! `LIVEWATT_FUZZ_ROUND=7` begins at another round. What was found stands in `found.rs`.

mod check;
mod clouds;
mod found;
mod mutate;
mod stations;

use std::time::{Duration, Instant};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// Cases of a round.
const ROUND: u32 = 192;
/// What a case may take: far more than it does, also on a machine with much else to do.
const LONGEST_CASE: Duration = Duration::from_secs(20);

/// Runs one round of cases, or as many as fit into `LIVEWATT_FUZZ_SECONDS`.
fn run<S: Strategy>(name: &str, strategy: S, mut case: impl FnMut(S::Value)) {
    let number = |key: &str| std::env::var(key).ok()?.parse::<u64>().ok();
    let budget = number("LIVEWATT_FUZZ_SECONDS").map(Duration::from_secs);
    let first = number("LIVEWATT_FUZZ_ROUND").unwrap_or_default();
    let (began, mut round, mut longest) = (Instant::now(), first, Duration::ZERO);
    loop {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&round.to_le_bytes());
        let config = Config {
            cases: ROUND,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let case = std::cell::RefCell::new(&mut case);
        let slowest = std::cell::Cell::new(longest);
        let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |input| {
            let begun = Instant::now();
            (case.borrow_mut())(input);
            let took = begun.elapsed();
            slowest.set(slowest.get().max(took));
            assert!(took < LONGEST_CASE, "it took {took:?}");
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{name}, round {round}: {error}");
        }
        longest = slowest.get();
        round += 1;
        if budget.is_none_or(|budget| began.elapsed() >= budget) {
            break;
        }
    }
    if budget.is_some() {
        let cases = (round - first) * u64::from(ROUND);
        println!(
            "{name}: {cases} cases in {:?}, the slowest {longest:?}",
            began.elapsed()
        );
    }
}
