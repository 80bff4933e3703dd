//! A timer wheel of one-second buckets, kept sparse: a bucket exists only while something is due in
//! its second. Moving a timer leaves a stale entry behind, which its taker must recognise.

use std::collections::BTreeMap;

use livewatt_domain::{Timestamp, id::AccountId};

use super::moment::Moment;

#[derive(Debug, Default)]
pub(super) struct Wheel {
    buckets: BTreeMap<i64, Vec<AccountId>>,
}

impl Wheel {
    /// The second in which something due at `at` is taken: never early.
    fn bucket(at: Moment) -> i64 {
        let millis = Timestamp::from(at).as_millisecond();
        millis.div_euclid(1000) + i64::from(millis.rem_euclid(1000) > 0)
    }

    pub(super) fn insert(&mut self, at: Moment, id: AccountId) {
        self.buckets.entry(Self::bucket(at)).or_default().push(id);
    }

    /// Hands out everything whose second has begun, earliest first.
    pub(super) fn take_until(&mut self, now: Timestamp, mut take: impl FnMut(AccountId)) {
        let now = now.as_millisecond().div_euclid(1000);
        while let Some(bucket) = self.buckets.first_entry() {
            if *bucket.key() > now {
                break;
            }
            bucket.remove().into_iter().for_each(&mut take);
        }
    }

    /// The beginning of the first second in which something may be due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        let (second, _) = self.buckets.first_key_value()?;
        Timestamp::from_second(*second).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_early_and_everything_in_order() {
        let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        let id = |n: u128| AccountId(uuid::Uuid::from_u128(n));
        let mut wheel = Wheel::default();
        wheel.insert(at(2_500).into(), id(2));
        wheel.insert(at(1_000).into(), id(1));
        let taken = |wheel: &mut Wheel, now| {
            let mut ids = Vec::new();
            wheel.take_until(at(now), |id| ids.push(id));
            ids
        };
        assert_eq!(wheel.first(), Some(at(1_000)));
        assert_eq!(taken(&mut wheel, 999), []);
        assert_eq!(taken(&mut wheel, 2_999), [id(1)]);
        assert_eq!(taken(&mut wheel, 3_000), [id(2)]);
        assert_eq!(wheel.first(), None);
    }
}
