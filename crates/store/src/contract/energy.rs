//! Histories of devices: samples, quarter hours, charging sessions.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    device::Device,
    energy::{Bucket, Flow, FlowSum, PowerState, Restated, Sample},
    history::{HistoryChange, Piece, hour_of},
    id::{ChargingSessionId, LocationId},
    kind::DeviceKind,
    session::{ChargingSession, Closed, Gap, Opened},
    stay::Stay,
};
use uuid::Uuid;

use super::{Story, minute};
use crate::{DeviceChange, DeviceHistory, Quarter, Store, StoreError, StoreResult};

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

fn sample(at: i64) -> Sample {
    Sample {
        state: Some(PowerState::Active),
        rate: Some(7.2),
        taken: Some(123_456.789_123),
        given: None,
        level: Some(50.3),
        capacity: Some(60.0),
        at: minute(at),
    }
}

fn hour(at: i64) -> (Timestamp, Vec<Sample>) {
    let hour = hour_of(minute(at));
    (hour, vec![sample(at), sample(at + 1)])
}

fn bucket(at: i64, kwh: f64, restated: Option<Restated>) -> Bucket {
    Bucket {
        start: minute(at),
        flow: Flow::Taken,
        sum: FlowSum {
            kwh,
            counter_kwh: 0.1,
            level_kwh: 0.2,
            min_kw: Some(0.25),
            max_kw: None,
            active_ms: 4,
            counter_ms: 5,
            rate_ms: 6,
            level_ms: 7,
            bridged_ms: 8,
        },
        restated,
    }
}

fn session(story: &Story, from: i64, to: i64) -> ChargingSession {
    ChargingSession {
        id: ChargingSessionId::new(minute(from), story.entropy()),
        from: minute(from),
        to: minute(to),
        opened: Opened::Charging,
        closed: Some(Closed::Stopped),
        readings: 12,
        gaps: vec![Gap {
            from: minute(from),
            to: minute(from + 1),
        }],
        sum: FlowSum {
            kwh: 12.25,
            ..FlowSum::default()
        },
        level_from: Some(20.5),
        level_to: None,
        seen_at: minute(to),
        paused_since: None,
        is_plugged_in: true,
    }
}

impl Story {
    /// Stores a history of a device: samples of three days, quarter hours of which one was restated,
    /// two charging sessions, and two stays.
    pub async fn keep_history(&self, device: &Device) -> StoreResult<()> {
        let given = Bucket {
            flow: Flow::Given,
            ..bucket(15, 9.0, None)
        };
        for buckets in [
            vec![bucket(0, 1.0, None), given],
            vec![bucket(0, 0.1 + 0.2, Some(Restated::LateData))],
        ] {
            let change = HistoryChange {
                hours: vec![hour(-1), hour(0), hour(HOUR), hour(3 * DAY)],
                buckets,
                sessions: vec![session(self, 5, 9)],
                stay: Some(Stay {
                    since: minute(0),
                    location: Some(LocationId(Uuid::from_u128(1))),
                }),
                ..HistoryChange::default()
            };
            save(self, device, change).await?;
        }
        Ok(())
    }
}

async fn save(story: &Story, device: &Device, change: HistoryChange) -> StoreResult<()> {
    let mut unit = story.unit();
    unit.histories.push(DeviceHistory {
        device_id: device.id,
        change,
    });
    assert!(!unit.is_empty());
    story.store.commit(unit).await.map(drop)
}

/// What is written comes back from the hour on that is asked for, with the session before.
pub async fn come_back_by_the_piece(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let sessions = [
        session(&story, 5, 9),
        session(&story, 65, 70),
        session(&story, 130, 140),
    ];
    let change = HistoryChange {
        hours: vec![hour(0), hour(HOUR), hour(2 * HOUR), hour(3 * DAY)],
        sessions: sessions.to_vec(),
        ..HistoryChange::default()
    };
    save(&story, &device, change).await?;
    let from = hour_of(minute(HOUR));
    let piece = story.store.history_piece(device.id, from).await?;
    let at = [HOUR, HOUR + 1, 2 * HOUR, 2 * HOUR + 1, 3 * DAY, 3 * DAY + 1];
    let expected = Piece {
        from,
        samples: at.map(sample).to_vec(),
        sessions: sessions.to_vec(),
    };
    assert_eq!(piece, expected);
    let later = story
        .store
        .history_piece(device.id, hour_of(minute(2 * DAY)))
        .await?;
    assert_eq!(later.samples, [sample(3 * DAY), sample(3 * DAY + 1)]);
    assert_eq!(later.sessions, sessions[2..]);
    // An hour is replaced whole, and a session may turn out never to have been.
    let mut longer = sessions[1].clone();
    longer.to = minute(80);
    let change = HistoryChange {
        hours: vec![(from, vec![sample(HOUR + 2)])],
        sessions: vec![longer.clone()],
        withdrawn: vec![sessions[2].id],
        ..HistoryChange::default()
    };
    save(&story, &device, change).await?;
    let piece = story.store.history_piece(device.id, from).await?;
    assert_eq!(piece.samples[..2], [sample(HOUR + 2), sample(2 * HOUR)]);
    assert_eq!(piece.sessions, [sessions[0].clone(), longer.clone()]);
    let found = story
        .store
        .find_charging_session(story.client, longer.id)
        .await?;
    assert_eq!(found, Some((device.id, longer.clone())));
    let id = sessions[2].id;
    assert_eq!(
        story.store.find_charging_session(story.client, id).await?,
        None
    );
    let stranger = livewatt_domain::id::ClientId::new(minute(3), story.entropy());
    assert_eq!(
        story
            .store
            .find_charging_session(stranger, longer.id)
            .await?,
        None
    );
    let between = |from, to| {
        let devices = vec![device.id];
        story
            .store
            .charging_sessions(devices, minute(from), minute(to))
    };
    assert_eq!(between(0, 65).await?, [(device.id, sessions[0].clone())]);
    assert_eq!(between(10, 66).await?, [(device.id, longer)]);
    Ok(())
}

/// A quarter hour is replaced; its version rises when that was not to be expected.
pub async fn quarters_are_restated(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let given = Bucket {
        flow: Flow::Given,
        ..bucket(15, 9.0, None)
    };
    for buckets in [
        vec![bucket(0, 1.0, None), bucket(15, 2.0, None), given],
        vec![bucket(15, 2.5, None)],
        vec![bucket(0, 0.5, Some(Restated::LateData))],
        vec![bucket(0, 0.75, None)],
    ] {
        let change = HistoryChange {
            hours: vec![hour(0)],
            buckets,
            ..HistoryChange::default()
        };
        save(&story, &device, change).await?;
    }
    let quarter = |bucket: Bucket, version, restated: Option<&str>| Quarter {
        device_id: device.id,
        flow: bucket.flow,
        start: bucket.start,
        version,
        restated: restated.map(str::to_owned),
        sum: bucket.sum,
    };
    let first = quarter(bucket(0, 0.75, None), 2, Some("lateData"));
    let second = quarter(bucket(15, 2.5, None), 1, None);
    let read = |from, to| {
        story
            .store
            .quarters(vec![device.id], minute(from), minute(to))
    };
    assert_eq!(
        read(0, 30).await?,
        [first.clone(), second, quarter(given, 1, None)]
    );
    assert_eq!(read(0, 15).await?, [first]);
    assert_eq!(
        story
            .store
            .quarters(Vec::new(), minute(0), minute(30))
            .await?,
        []
    );
    Ok(())
}

/// Where a device was comes back, also from before the time that is asked about; a stay never begins
/// before the last one did.
pub async fn stays_follow_each_other(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (car, other) = (story.discover(1).await?, story.discover(2).await?);
    let stay = |since, location: Option<u128>| Stay {
        since,
        location: location.map(|number| LocationId(Uuid::from_u128(number))),
    };
    let first = stay(minute(10), Some(1));
    for (device, stay) in [
        (&car, first),
        (&other, stay(minute(15), Some(9))),
        (&car, stay(minute(20), None)),
        (&car, stay(minute(5), Some(2))),
    ] {
        save(&story, device, HistoryChange::of_stay(stay)).await?;
    }
    let away = stay(minute(20), None);
    let moment = minute(20) + SignedDuration::from_millis(1);
    let back = stay(moment, Some(2));
    let read = async |devices, from, to| story.store.stays(devices, minute(from), minute(to)).await;
    let of_car = |stays: &[Stay]| stays.iter().map(|stay| (car.id, *stay)).collect::<Vec<_>>();
    let one = || vec![car.id];
    assert_eq!(read(one(), 0, 60).await?, of_car(&[first, away, back]));
    assert_eq!(read(one(), 0, 10).await?, []);
    assert_eq!(read(one(), 12, 15).await?, of_car(&[first]));
    assert_eq!(read(one(), 20, 21).await?, of_car(&[away, back]));
    assert_eq!(read(one(), 50, 60).await?, of_car(&[back]));
    let both = read(vec![car.id, other.id], 19, 20).await?;
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both.contains(&(other.id, stay(minute(15), Some(9)))));
    assert_eq!(read(Vec::new(), 0, 60).await?, []);
    Ok(())
}

/// Samples are forgotten by the day, sums stay; a device that is gone keeps its history, and its user
/// takes it along.
pub async fn histories_go_with_time_and_with_their_user(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let stay = Stay {
        since: minute(0),
        location: None,
    };
    let change = HistoryChange {
        hours: vec![hour(0), hour(5 * DAY), hour(6 * DAY)],
        buckets: vec![bucket(0, 1.0, None)],
        sessions: vec![session(&story, 5, 9)],
        stay: Some(stay),
        ..HistoryChange::default()
    };
    save(&story, &device, change).await?;
    let keep_from = hour_of(minute(5 * DAY + 12 * HOUR));
    story.store.prune_samples(keep_from).await?;
    let all = || story.store.history_piece(device.id, minute(-DAY));
    let kept = all().await?.samples;
    assert_eq!(kept.last(), Some(&sample(6 * DAY + 1)));
    assert!(kept[0].at >= minute(5 * DAY), "{kept:?}");
    // A day that was dropped can come again.
    let change = HistoryChange {
        hours: vec![hour(0)],
        ..HistoryChange::default()
    };
    save(&story, &device, change).await?;
    assert_eq!(all().await?.samples[0], sample(0));

    let mut unit = story.unit();
    unit.devices.push(DeviceChange::Delete {
        id: device.id,
        from_version: device.version,
        at: minute(60),
    });
    story.store.commit(unit).await?;
    let of_user = || {
        let user = story.account.user_id.clone();
        story
            .store
            .devices_with_history(story.client, user, DeviceKind::Vehicle)
    };
    assert_eq!(of_user().await?, [device.id]);
    let quarters = story
        .store
        .quarters(vec![device.id], minute(0), minute(1))
        .await?;
    assert_eq!(quarters.len(), 1);
    let stays = || story.store.stays(vec![device.id], minute(0), minute(1));
    assert_eq!(stays().await?, [(device.id, stay)]);

    assert!(
        story
            .store
            .delete_user(story.client, story.account.user_id.clone())
            .await?
    );
    assert_eq!(of_user().await?, []);
    let piece = all().await?;
    assert_eq!((piece.samples, piece.sessions), (Vec::new(), Vec::new()));
    let quarters = story
        .store
        .quarters(vec![device.id], minute(0), minute(1))
        .await?;
    assert_eq!(quarters, []);
    assert_eq!(stays().await?, []);
    Ok(())
}

/// The history of a device that was never stored, or is gone with its user, is not begun.
pub async fn histories_need_their_device(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.vehicle(1);
    let change = HistoryChange {
        hours: vec![hour(0)],
        ..HistoryChange::default()
    };
    let result = save(&story, &device, change).await;
    assert!(
        matches!(result, Ok(()) | Err(StoreError::Conflict)),
        "{result:?}"
    );
    let piece = story.store.history_piece(device.id, minute(-DAY)).await?;
    assert_eq!(piece.samples, []);
    Ok(())
}
