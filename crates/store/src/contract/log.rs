//! The event log.

use std::{collections::BTreeSet, sync::Arc};

use livewatt_domain::{
    event::Event,
    id::ClientId,
    webhook::{Position, lane_of},
};

use super::{Story, day, minute};
use crate::{LogQuery, LoggedEvent, Store, StoreResult};

const START: Position = Position(0);

/// Events are read in the order of their unit, whole, at rising positions.
pub async fn events_come_back_as_they_were(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.vehicle(1);
    let events = vec![
        story.maker(minute(1)).discovered(&device),
        story.event(minute(1)),
    ];
    let last = story.log(events.clone()).await?;
    let page = story.events(story.client, START).await?;
    assert_eq!(bodies(&page.events), events);
    assert_eq!(page.events[1].position, last);
    assert!(START < page.events[0].position && page.events[0].position < last);
    assert_eq!((page.read_until, page.kept_from), (last, START));
    assert_eq!(story.store.last_position(story.client).await?, last);
    Ok(())
}

/// A client sees nothing of the events of another, though positions are shared.
pub async fn belongs_to_one_client(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let other = ClientId::new(minute(1), story.entropy());
    story.add_client(other, 1).await?;
    assert_eq!(story.store.last_position(other).await?, START);
    let ours = story.event(minute(1));
    let theirs = story.event_of(other, "zoe", minute(1));
    story
        .log(vec![ours.clone(), theirs.clone(), ours.clone()])
        .await?;
    let page = story.events(other, START).await?;
    assert_eq!(bodies(&page.events), [theirs]);
    assert_eq!(page.read_until, page.events[0].position);
    assert_eq!(story.store.last_position(other).await?, page.read_until);
    assert_eq!(
        bodies(&story.events(story.client, START).await?.events),
        [ours.clone(), ours]
    );
    assert_eq!(story.store.count_events_after(other, START, 10).await?, 1);
    Ok(())
}

/// Limits, upper bounds and counts.
pub async fn stops_where_asked(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut positions = Vec::new();
    for days in 0..6 {
        positions.push(story.log(vec![story.event(day(days))]).await?);
    }
    let query = |after, until, limit| LogQuery {
        client_id: story.client,
        after,
        until,
        lane: None,
        limit,
    };
    let read = async |query| {
        let page = story.store.events_after(query).await?;
        StoreResult::Ok((
            page.events.iter().map(|e| e.position).collect(),
            page.read_until,
        ))
    };
    let (found, until): (Vec<_>, _) = read(query(positions[0], None, 3)).await?;
    assert_eq!((found.as_slice(), until), (&positions[1..4], positions[3]));
    let (found, until) = read(query(positions[3], None, 3)).await?;
    assert_eq!((found.as_slice(), until), (&positions[4..], positions[5]));
    let (found, until) = read(query(START, Some(positions[1]), 9)).await?;
    assert_eq!((found.as_slice(), until), (&positions[..2], positions[1]));
    let (found, until) = read(query(positions[5], None, 9)).await?;
    assert_eq!((found.as_slice(), until), (&[][..], positions[5]));
    let count = |after, limit| story.store.count_events_after(story.client, after, limit);
    assert_eq!(count(START, 100).await?, 6);
    assert_eq!(count(positions[1], 100).await?, 4);
    assert_eq!(count(START, 4).await?, 4);
    Ok(())
}

/// While twenty tasks write, a reader that follows sees every event once, in order.
pub async fn is_read_without_gaps_while_it_is_written(store: Arc<dyn Store>) -> StoreResult<()> {
    const WRITERS: usize = 20;
    const UNITS: usize = 20;
    let story = Arc::new(Story::begin(store).await?);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let story = Arc::clone(&story);
        writers.spawn(async move {
            let mut written = Vec::new();
            for unit in 0..UNITS {
                let size = 1 + (writer + unit) % 3;
                let events: Vec<_> = (0..size)
                    .map(|_| story.event(minute(unit as i64)))
                    .collect();
                let ids: Vec<_> = events.iter().map(|event| event.id).collect();
                written.push((story.log(events).await?, ids));
            }
            StoreResult::Ok(written)
        });
    }
    let expected: usize = (0..WRITERS)
        .flat_map(|w| (0..UNITS).map(move |u| 1 + (w + u) % 3))
        .sum();
    let mut tail: Vec<LoggedEvent> = Vec::new();
    let mut cursor = START;
    while tail.len() < expected {
        let query = LogQuery {
            client_id: story.client,
            after: cursor,
            until: None,
            lane: None,
            limit: 7,
        };
        let page = story.store.events_after(query).await?;
        assert!(page.read_until >= cursor, "the log went back");
        cursor = page.read_until;
        tail.extend(page.events);
        tokio::task::yield_now().await;
    }
    assert!(
        tail.is_sorted_by(|a, b| a.position < b.position),
        "out of order"
    );
    for written in writers.join_all().await {
        for (last, ids) in written? {
            let end = tail.partition_point(|event| event.position <= last);
            let unit = &tail[end - ids.len()..end];
            assert_eq!(
                unit.iter().map(|event| event.event.id).collect::<Vec<_>>(),
                ids
            );
        }
    }
    assert_eq!(story.events(story.client, START).await?.events, tail);
    Ok(())
}

/// Each event is in exactly one lane: the one the domain says.
pub async fn lanes_partition_it(store: Arc<dyn Store>) -> StoreResult<()> {
    const LANES: u16 = 4;
    let story = Story::begin(store).await?;
    let mut events: Vec<_> = (0..60)
        .map(|n| story.event_of(story.client, "ada", day(n / 30)))
        .collect();
    events.push(story.event(day(1)));
    story.log(events.clone()).await?;
    let mut seen = BTreeSet::new();
    for lane in 0..LANES {
        let query = LogQuery {
            client_id: story.client,
            after: START,
            until: None,
            lane: Some((lane, LANES)),
            limit: 1000,
        };
        let page = story.store.events_after(query).await?;
        assert_eq!(
            page.read_until,
            story.store.last_position(story.client).await?
        );
        for LoggedEvent { position, event } in page.events {
            let device = event.device.map(|(id, _)| id);
            assert_eq!(lane_of(device, &event.user_id, LANES), lane);
            assert!(seen.insert(position), "it is in two lanes");
        }
    }
    assert_eq!(seen.len(), events.len());
    Ok(())
}

/// Forty days of events, pruned: what is dropped is exactly the days that had ended.
pub async fn is_pruned_by_whole_days(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut positions = Vec::new();
    for days in 0..40 {
        positions.push(
            story
                .log(vec![story.event(day(days)), story.event(day(days))])
                .await?,
        );
    }
    // In the middle of day 10: days 0 to 9 have ended.
    assert_eq!(story.store.prune(day(10), day(40)).await?, 10);
    assert_eq!(story.store.prune(day(10), day(40)).await?, 0);
    let page = story.events(story.client, START).await?;
    assert_eq!(page.events.len(), 60);
    assert_eq!(page.kept_from, Position(positions[9].0 + 1));
    assert_eq!(page.events[0].position, page.kept_from);
    // A cursor within what was dropped goes on with what is left, one behind it as ever.
    assert_eq!(
        story.events(story.client, positions[4]).await?.events.len(),
        60
    );
    assert_eq!(
        story
            .events(story.client, positions[20])
            .await?
            .events
            .len(),
        38
    );
    assert_eq!(
        story
            .store
            .count_events_after(story.client, START, 1000)
            .await?,
        60
    );
    let next = story.log(vec![story.event(day(40))]).await?;
    assert!(next > positions[39]);
    assert_eq!(
        bodies(&story.events(story.client, positions[39]).await?.events).len(),
        1
    );
    Ok(())
}

/// After a gap events come behind any position that may have been given out and forgotten, for
/// clients with and without events; what was there stays, and readers and lanes pass over the gap.
pub async fn leaves_a_gap_where_told(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let quiet = ClientId::new(minute(1), story.entropy());
    story.add_client(quiet, 1).await?;
    let before = story.event(day(0));
    let last = story.log(vec![before.clone()]).await?;
    story.store.skip_positions().await?;
    assert_eq!(
        bodies(&story.events(story.client, START).await?.events),
        std::slice::from_ref(&before)
    );
    assert_eq!(story.store.newest_event_at().await?, Some(day(0)));
    let forgotten = Position(last.0 + 1_000_000_000);
    let after = story.event(day(1));
    let first_of_quiet = story.event_of(quiet, "zoe", day(1));
    story
        .log(vec![after.clone(), first_of_quiet.clone()])
        .await?;
    for (client, from, events) in [
        (story.client, START, vec![before, after.clone()]),
        (story.client, last, vec![after.clone()]),
        (story.client, forgotten, vec![after.clone()]),
        (quiet, START, vec![first_of_quiet.clone()]),
        (quiet, forgotten, vec![first_of_quiet]),
    ] {
        assert_eq!(bodies(&story.events(client, from).await?.events), events);
    }
    let count = story.store.count_events_after(story.client, START, 100);
    assert_eq!(count.await?, 2);
    // Twice does no harm, and days are dropped as ever.
    story.store.skip_positions().await?;
    assert_eq!(story.store.prune(day(1), day(2)).await?, 1);
    let kept = story.events(story.client, START).await?;
    assert_eq!(bodies(&kept.events), [after]);
    assert!(last < kept.kept_from && kept.kept_from <= kept.events[0].position);
    Ok(())
}

/// When all events are gone, the next still comes after them.
pub async fn positions_outlive_the_events(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let quiet = ClientId::new(minute(1), story.entropy());
    story.add_client(quiet, 1).await?;
    let last = story
        .log(vec![story.event(day(0)), story.event(day(1))])
        .await?;
    assert_eq!(story.store.prune(day(2), day(2)).await?, 2);
    assert_eq!(story.store.last_position(story.client).await?, last);
    let page = story.events(story.client, START).await?;
    assert!(page.events.is_empty());
    assert_eq!(
        (page.read_until, page.kept_from),
        (last, Position(last.0 + 1))
    );
    assert_eq!(
        story.events(quiet, START).await?.kept_from,
        START,
        "nothing of it was dropped"
    );
    assert!(story.log(vec![story.event(day(2))]).await? > last);
    assert_eq!(story.events(story.client, last).await?.events.len(), 1);
    Ok(())
}

/// Order is that of writing, whatever the clock says.
pub async fn goes_on_when_the_clock_goes_back(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut written = Vec::new();
    for days in [3, 0, 4, -2, 4] {
        let event = story.event(day(days));
        written.push(event.clone());
        story.log(vec![event]).await?;
    }
    assert_eq!(
        bodies(&story.events(story.client, START).await?.events),
        written
    );
    assert_eq!(story.store.prune(day(4), day(4)).await?, 2);
    assert_eq!(
        bodies(&story.events(story.client, START).await?.events),
        written[2..]
    );
    Ok(())
}

/// A clock that was a year ahead for an hour: what is written after it is dropped in time, and
/// nothing before.
pub async fn outlives_a_clock_that_was_ahead(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut written = Vec::new();
    // Twice on day 2, before and after the clock was wrong.
    for days in [0, 1, 2, 367, 2, 3, 4, 368, 5] {
        let event = story.event(day(days));
        story.log(vec![event.clone()]).await?;
        written.push(event);
    }
    let left = async || {
        let page = story.events(story.client, START).await?;
        assert!(page.events.is_sorted_by_key(|event| event.position));
        StoreResult::Ok(bodies(&page.events))
    };
    assert_eq!(left().await?, written);
    assert_eq!(story.store.newest_event_at().await?, Some(day(5)));
    assert_eq!(story.store.prune(day(2), day(5)).await?, 2);
    assert_eq!(left().await?, written[2..]);
    // With its own day goes what was written while the clock was ahead.
    assert_eq!(story.store.prune(day(3), day(6)).await?, 2 + 1);
    assert_eq!(left().await?, written[5..]);
    assert_eq!(story.store.prune(day(5), day(8)).await?, 2);
    assert_eq!(left().await?, written[7..]);
    assert_eq!(story.store.prune(day(6), day(9)).await?, 2);
    assert_eq!(left().await?, []);
    // The days that were dated ahead come after all.
    let last = story.store.last_position(story.client).await?;
    for days in [367, 368] {
        assert!(story.log(vec![story.event(day(days))]).await? > last);
    }
    assert_eq!(left().await?.len(), 2);
    Ok(())
}

/// A clock that was a year behind for an hour takes nothing along.
pub async fn outlives_a_clock_that_was_behind(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut written = Vec::new();
    for days in [366, 367, 2, 368] {
        let event = story.event(day(days));
        story.log(vec![event.clone()]).await?;
        written.push(event);
    }
    let left = async || StoreResult::Ok(bodies(&story.events(story.client, START).await?.events));
    // While it is behind, and after it was set right.
    assert_eq!(story.store.prune(day(-28), day(2)).await?, 0);
    assert_eq!(story.store.prune(day(338), day(368)).await?, 0);
    assert_eq!(left().await?, written);
    assert_eq!(story.store.prune(day(367), day(397)).await?, 1);
    assert_eq!(left().await?, written[1..]);
    assert_eq!(story.store.prune(day(368), day(398)).await?, 2);
    assert_eq!(left().await?, written[3..]);
    Ok(())
}

fn bodies(events: &[LoggedEvent]) -> Vec<Event> {
    events.iter().map(|logged| logged.event.clone()).collect()
}
