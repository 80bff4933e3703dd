//! Sums of ages, and breaches.

use std::sync::Arc;

use livewatt_domain::{
    age::{AgeTally, BlockAge, Breach, BreachReason, Grace, Second, moment},
    device::Device,
    id::{ClientId, UserId},
    kind::DeviceKind,
    partition::Partitions,
};

use super::{Story, minute};
use crate::{AgeHour, AgeQuery, BreachList, PresenceFlush, Store, StoreResult};

/// Flushes add to the sums of an hour, and what is gone is passed over.
pub async fn are_added_up(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let nobody = ClientId::new(minute(3), story.entropy());
    let hours = |client_id, seconds| AgeHour {
        client_id,
        hour: minute(0),
        vendor: super::vendor(),
        kind: DeviceKind::Vehicle,
        block: "chargeState",
        tally: tally(seconds),
    };
    for seconds in [100, 250] {
        let flush = PresenceFlush {
            ages: vec![hours(story.client, seconds), hours(nobody, 7)],
            counted_until: Some(minute(seconds.into())),
            ..PresenceFlush::default()
        };
        assert!(!flush.is_empty());
        story.store.flush_presence(flush).await?;
    }
    let mut sum = hours(story.client, 100);
    sum.tally.merge(&tally(250));
    assert_eq!(story.store.age_hours(everything()).await?, [sum.clone()]);
    let state = story.store.age_state(Partitions::ALL).await?;
    assert_eq!(state.open, []);
    assert_eq!(state.counted_until, vec![Some(minute(250)); 256]);
    for other in [
        AgeQuery {
            client_id: Some(nobody),
            ..everything()
        },
        AgeQuery {
            from: minute(1),
            ..everything()
        },
        AgeQuery {
            to: minute(0),
            ..everything()
        },
        AgeQuery {
            kind: Some(DeviceKind::Meter),
            ..everything()
        },
    ] {
        assert_eq!(story.store.age_hours(other).await?, []);
    }
    let own = AgeQuery {
        client_id: Some(story.client),
        kind: Some(DeviceKind::Vehicle),
        vendor: Some(super::vendor()),
        ..everything()
    };
    assert_eq!(story.store.age_hours(own).await?, [sum]);
    story.store.prune(minute(1), minute(2)).await?;
    assert_eq!(story.store.age_hours(everything()).await?, []);
    Ok(())
}

/// A breach is there from its beginning, under its device's user, and ends once.
pub async fn breaches_begin_and_end(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let gone = story.vehicle(1);
    let open = breach(&device, "location", 10);
    flush(&story, vec![open.clone(), breach(&gone, "location", 10)]).await?;
    let stored = story.store.age_state(Partitions::ALL).await?.open;
    assert_eq!(stored, std::slice::from_ref(&open));
    let over = Breach {
        ended: Some(minute(40)),
        ..open.clone()
    };
    let short = Breach {
        ended: Some(minute(31)),
        reason: BreachReason::NotTold,
        ..breach(&device, "odometer", 30)
    };
    flush(&story, vec![over.clone(), short.clone()]).await?;
    assert_eq!(story.store.age_state(Partitions::ALL).await?.open, []);
    let list = listed(&story, everything(), 1).await?;
    assert_eq!(list.newest.len(), 1, "the newest, as many as asked for");
    assert_eq!(list.newest[0].breach, short);
    assert_eq!(list.newest[0].user_id, story.account.user_id);
    let counts = list.counts.iter();
    let counts: Vec<_> = counts
        .map(|c| (c.block, c.reason, c.count, c.open))
        .collect();
    assert_eq!(
        counts,
        [
            ("location", BreachReason::Backoff, 1, 0),
            ("odometer", BreachReason::NotTold, 1, 0)
        ]
    );
    let touching = |from, to| AgeQuery {
        from: minute(from),
        to: minute(to),
        ..everything()
    };
    for (from, to, expected) in [
        (0, 10, 0),
        (0, 11, 1),
        (39, 99, 1),
        (40, 99, 0),
        (30, 31, 2),
    ] {
        let list = listed(&story, touching(from, to), 9).await?;
        assert_eq!(list.newest.len(), expected, "{from} to {to}");
    }
    Ok(())
}

/// Ended breaches are forgotten with time, open ones never; all of them go with their user.
pub async fn breaches_go_with_time_and_with_their_user(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let open = breach(&device, "location", 10);
    let over = Breach {
        ended: Some(minute(20)),
        ..breach(&device, "odometer", 10)
    };
    flush(&story, vec![open.clone(), over]).await?;
    story.store.prune(minute(90), minute(91)).await?;
    let list = listed(&story, everything(), 9).await?;
    assert_eq!(list.newest.len(), 1);
    assert_eq!(list.newest[0].breach, open);
    let user: UserId = story.account.user_id.clone();
    story.store.delete_user(story.client, user).await?;
    assert_eq!(listed(&story, everything(), 9).await?.newest, []);
    Ok(())
}

fn everything() -> AgeQuery {
    AgeQuery {
        client_id: None,
        from: minute(0),
        to: minute(600),
        kind: None,
        vendor: None,
    }
}

fn tally(seconds: Second) -> AgeTally {
    let mut tally = AgeTally::default();
    if let Some(span) = BlockAge::confirmed_at(1_000, 463).span(1_000, 1_000 + seconds, Grace(0)) {
        tally.add(span, None, 463);
    }
    tally.add_unreachable(seconds, BreachReason::Backoff);
    tally
}

fn breach(device: &Device, block: &'static str, began: i64) -> Breach {
    Breach {
        device: device.id,
        block,
        client: device.client_id,
        vendor: device.vendor.clone(),
        kind: device.kind(),
        confirmed_at: moment(1_000),
        began: minute(began),
        ended: None,
        target_seconds: 420,
        interval_seconds: 600,
        reason: BreachReason::Backoff,
        outcome: Some("unreachable".to_owned()),
    }
}

async fn flush(story: &Story, breaches: Vec<Breach>) -> StoreResult<()> {
    let flush = PresenceFlush {
        breaches,
        ..PresenceFlush::default()
    };
    story.store.flush_presence(flush).await
}

async fn listed(story: &Story, query: AgeQuery, limit: u32) -> StoreResult<BreachList> {
    story.store.breaches(query, limit).await
}
