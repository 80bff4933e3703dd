//! Schedules.

use std::sync::Arc;

use livewatt_domain::{
    device::Device,
    id::{ClientId, ScheduleId},
    kind::DeviceKind,
    partition::Partitions,
    schedule::{ChargeProgram, Execution, Program, Schedule},
};

use super::{Story, minute, user_id};
use crate::{
    DeviceChange, PageFrom, PageRequest, ScheduleChange, Store, StoreError, StoreResult,
    StoredSchedule,
};

impl Story {
    /// An enabled schedule of a vehicle, made at a minute, that is not stored yet.
    pub fn schedule(&self, device: &Device, at: i64) -> Schedule {
        Schedule {
            id: ScheduleId::new(minute(at), self.entropy()),
            client_id: device.client_id,
            user_id: device.user_id.clone(),
            target_id: device.id,
            is_enabled: true,
            program: Program::Charge(ChargeProgram {
                target_type: DeviceKind::Vehicle,
                location_id: None,
                default_should_charge: true,
                rules: Vec::new(),
            }),
            created_at: minute(at),
        }
    }

    /// The change that stores one of a device.
    pub fn scheduling(&self, device: &Device, at: i64) -> ScheduleChange {
        ScheduleChange::Insert(self.schedule(device, at))
    }

    /// Stores changes of schedules of the account's devices.
    pub async fn keep_schedules(&self, changes: Vec<ScheduleChange>) -> StoreResult<()> {
        let mut unit = self.unit();
        unit.schedules = changes;
        self.store.commit(unit).await.map(drop)
    }

    async fn planned(&self, schedule: &Schedule) -> StoreResult<Option<StoredSchedule>> {
        self.store.find_schedule(self.client, schedule.id).await
    }
}

fn becoming(stored: &StoredSchedule, schedule: Schedule) -> ScheduleChange {
    ScheduleChange::Update {
        schedule,
        execution: Execution {
            fresh_since: Some(minute(9)),
            ..Execution::default()
        },
        from_revision: stored.revision,
    }
}

/// A schedule comes back as it was, is found by its device, and changes from the revision that was read
/// alone.
pub async fn are_found_and_change_as_they_were_read(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (first, second) = (story.discover(1).await?, story.discover(2).await?);
    let (one, two) = (story.schedule(&first, 3), story.schedule(&second, 4));
    let both = [&one, &two].map(|new| ScheduleChange::Insert(new.clone()));
    story.keep_schedules(both.to_vec()).await?;
    let stored = story.planned(&one).await?.expect("it is there");
    let expected = StoredSchedule {
        schedule: one.clone(),
        execution: Execution::default(),
        revision: 1,
    };
    assert_eq!(stored, expected);
    let other = ClientId::new(minute(1), story.entropy());
    assert_eq!(story.store.find_schedule(other, one.id).await?, None);
    let of_first = story.store.schedules_of_device(first.id).await?;
    assert_eq!(of_first, std::slice::from_ref(&stored));

    let account = story.account.id;
    let own: Partitions = [account.partition()].into_iter().collect();
    let mut devices = vec![(account, first.id), (account, second.id)];
    devices.sort_unstable();
    for (of, expected) in [
        (own, devices.clone()),
        (Partitions::ALL, devices),
        (Partitions::NONE, vec![]),
    ] {
        assert_eq!(story.store.scheduled_devices(of).await?, expected);
    }

    let mut changed = one.clone();
    changed.is_enabled = false;
    story
        .keep_schedules(vec![becoming(&stored, changed.clone())])
        .await?;
    let late = story
        .keep_schedules(vec![becoming(&stored, one.clone())])
        .await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    let now = story.planned(&one).await?.expect("it is there");
    assert_eq!((now.revision, &now.schedule), (2, &changed));
    assert_eq!(now.execution.fresh_since, Some(minute(9)));

    let deletion = |from_revision| ScheduleChange::Delete {
        schedule: changed.clone(),
        from_revision,
    };
    let late = story.keep_schedules(vec![deletion(1)]).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    story.keep_schedules(vec![deletion(2)]).await?;
    assert_eq!(story.planned(&one).await?, None);
    let gone = story
        .keep_schedules(vec![becoming(&now, changed.clone())])
        .await;
    assert!(matches!(gone, Err(StoreError::Conflict)), "{gone:?}");
    assert!(story.planned(&two).await?.is_some());
    Ok(())
}

/// A device has one enabled schedule at most; in one unit, another takes its place.
pub async fn are_enabled_one_a_device(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let (one, two) = (story.schedule(&device, 2), story.schedule(&device, 3));
    story
        .keep_schedules(vec![ScheduleChange::Insert(one.clone())])
        .await?;
    let refused = story
        .keep_schedules(vec![ScheduleChange::Insert(two.clone())])
        .await;
    assert!(matches!(refused, Err(StoreError::Duplicate)), "{refused:?}");
    assert_eq!(story.planned(&two).await?, None);
    let disabled = Schedule {
        is_enabled: false,
        ..story.schedule(&device, 4)
    };
    story
        .keep_schedules(vec![ScheduleChange::Insert(disabled.clone())])
        .await?;
    let stored = story.planned(&disabled).await?.expect("it is there");
    let enabled = Schedule {
        is_enabled: true,
        ..disabled
    };
    let refused = story.keep_schedules(vec![becoming(&stored, enabled)]).await;
    assert!(matches!(refused, Err(StoreError::Duplicate)), "{refused:?}");
    let stored = story.planned(&one).await?.expect("it is there");
    let switched_off = Schedule {
        is_enabled: false,
        ..one
    };
    let changes = vec![
        ScheduleChange::Insert(two.clone()),
        becoming(&stored, switched_off),
    ];
    story.keep_schedules(changes).await?;
    assert!(story.planned(&two).await?.is_some());
    let of_device = story.store.schedules_of_device(device.id).await?;
    assert_eq!(of_device.len(), 3);
    Ok(())
}

/// In pages, of one user.
pub async fn are_listed_newest_first(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let mut made = Vec::new();
    for at in 1..4 {
        let device = story.discover(at).await?;
        let schedule = story.schedule(&device, at);
        story
            .keep_schedules(vec![ScheduleChange::Insert(schedule.clone())])
            .await?;
        made.push(schedule.id);
    }
    made.reverse();
    let page = async |user, from| {
        let request = PageRequest { from, size: 2 };
        story
            .store
            .list_schedules(story.client, user_id(user), request)
            .await
    };
    let first = page("ada", PageFrom::Start).await?;
    let last = page("ada", PageFrom::After(first.older.clone().expect("more"))).await?;
    let ids = first.items.iter().chain(&last.items);
    let ids: Vec<ScheduleId> = ids.map(|stored| stored.schedule.id).collect();
    assert_eq!(ids, made);
    assert_eq!((first.items.len(), last.older), (2, None));
    assert_eq!(page("bob", PageFrom::Start).await?.items, []);
    Ok(())
}

/// What a schedule is, and what is told of it, are there together or not at all.
pub async fn are_there_with_their_events_or_not(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let before = story.store.last_position(story.client).await?;
    let mut unit = story.unit();
    unit.schedules = vec![story.scheduling(&device, 2), story.scheduling(&device, 3)];
    unit.events.push(story.event(minute(2)));
    let refused = story.store.commit(unit).await;
    assert!(matches!(refused, Err(StoreError::Duplicate)), "{refused:?}");
    assert_eq!(story.store.schedules_of_device(device.id).await?, []);
    assert_eq!(story.store.last_position(story.client).await?, before);

    // Any node may write one that was read; the fence of the owner is not needed for that.
    let mut unit = story.unit();
    unit.fence = None;
    unit.schedules = vec![story.scheduling(&device, 2)];
    unit.events.push(story.event(minute(2)));
    assert!(story.store.commit(unit).await? > Some(before));
    Ok(())
}

/// Schedules go with their device and with their user.
pub async fn go_with_their_device_and_with_their_user(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (first, second) = (story.discover(1).await?, story.discover(2).await?);
    let (one, two) = (story.schedule(&first, 3), story.schedule(&second, 4));
    let both = [&one, &two].map(|new| ScheduleChange::Insert(new.clone()));
    story.keep_schedules(both.to_vec()).await?;
    let mut unit = story.unit();
    unit.devices.push(DeviceChange::Delete {
        id: first.id,
        from_version: 1,
        at: minute(60),
    });
    story.store.commit(unit).await?;
    assert_eq!(story.planned(&one).await?, None);
    let late = story
        .keep_schedules(vec![ScheduleChange::Insert(one)])
        .await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    assert!(story.planned(&two).await?.is_some());
    assert!(
        story
            .store
            .delete_user(story.client, user_id("ada"))
            .await?
    );
    assert_eq!(story.planned(&two).await?, None);
    let nothing = story.store.scheduled_devices(Partitions::ALL).await?;
    assert_eq!(nothing, []);
    Ok(())
}
