//! Home energy management systems, and what vendors recorded of them.

use std::{collections::BTreeMap, sync::Arc};

use livewatt_domain::{
    hem::{Flows, HemSystem, NewHemSystem, Series, SiteHistory, SiteTold},
    id::{DeviceId, HemSystemId},
    production::Period,
};

use super::{Story, minute, user_id};
use crate::{
    AccountChange, DevicePresence, HemChange, HemRecord, PageFrom, PageRequest, PresenceFlush,
    Store, StoreError, StoreResult, UnitOfWork,
};

/// A system of the story's account, found at a minute, that is not stored yet.
fn system(story: &Story, site: &str, at: i64) -> HemSystem {
    let told = SiteTold {
        id: site.to_owned(),
        name: Some("Home".to_owned()),
        zone: Some("Europe/Oslo".parse().expect("a zone")),
        installed_at: None,
        address: None,
        devices: Vec::new(),
        today: Flows::default(),
        at: minute(at),
    };
    let new = NewHemSystem {
        id: HemSystemId::new(minute(at), story.entropy()),
        client_id: story.client,
        user_id: story.account.user_id.clone(),
        account_id: story.account.id,
        vendor: "SMA".parse().expect("a vendor"),
        brand: "SMA".to_owned(),
        found_at: minute(at),
    };
    let mut system = HemSystem::discover(new, &told, &[]);
    system.members = vec![DeviceId::new(minute(at), story.entropy())];
    system
}

fn unit_of(story: &Story, change: HemChange) -> UnitOfWork {
    let mut unit = story.unit();
    unit.hem_systems.push(change);
    assert!(!unit.is_empty());
    unit
}

async fn insert(story: &Story, site: &str, at: i64) -> StoreResult<HemSystem> {
    let system = system(story, site, at);
    let unit = unit_of(story, HemChange::Insert(system.clone()));
    story.store.commit(unit).await?;
    Ok(system)
}

fn changed(system: &HemSystem) -> HemSystem {
    let mut changed = system.clone();
    changed.version += 1;
    changed.document.status.energy.today.flows.import = Some(0.125);
    changed.document.status.energy.today.last_updated = Some(minute(9));
    changed.members.clear();
    changed
}

/// Found by account, by ID, and page by page, the newest first.
pub async fn systems_come_back_as_they_were(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (one, two) = (insert(&story, "1", 1).await?, insert(&story, "2", 2).await?);
    let store = &story.store;
    let of_account = store.hem_systems_of_account(story.account.id).await?;
    assert_eq!(of_account, [one.clone(), two.clone()]);
    assert_eq!(
        store.find_hem_system(story.client, one.id).await?,
        Some(one.clone())
    );
    let stranger = livewatt_domain::id::ClientId::new(minute(0), story.entropy());
    assert_eq!(store.find_hem_system(stranger, one.id).await?, None);
    let page = |user: Option<&str>, from| {
        let request = PageRequest { from, size: 1 };
        store.list_hem_systems(story.client, user.map(user_id), request)
    };
    for user in [None, Some("ada")] {
        let first = page(user, PageFrom::Start).await?;
        assert_eq!((&first.items, &first.newer), (&vec![two.clone()], &None));
        let older = first.older.expect("there is more");
        let second = page(user, PageFrom::After(older)).await?;
        assert_eq!((&second.items, &second.older), (&vec![one.clone()], &None));
        let newer = second.newer.expect("there is more");
        let back = page(user, PageFrom::Before(newer)).await?;
        assert_eq!(back.items, first.items);
    }
    assert!(page(Some("bob"), PageFrom::Start).await?.items.is_empty());
    // A site is one system.
    let again = unit_of(&story, HemChange::Insert(system(&story, "1", 3)));
    assert!(matches!(
        store.commit(again).await,
        Err(StoreError::Duplicate)
    ));

    let device = story.discover(4).await?;
    let gone = DeviceId::new(minute(0), story.entropy());
    let seen = store.last_seen(vec![gone, device.id]).await?;
    assert_eq!(seen, [(device.id, device.last_seen)]);
    let presence = DevicePresence {
        id: device.id,
        version: device.version,
        last_seen: minute(7),
        stamps: device.stamps.clone(),
        is_asleep: false,
        missed_listings: 0,
    };
    let flush = PresenceFlush {
        devices: vec![presence],
        ..PresenceFlush::default()
    };
    store.flush_presence(flush).await?;
    let seen = store.last_seen(vec![device.id]).await?;
    assert_eq!(seen, [(device.id, minute(7))]);
    Ok(())
}

/// Who has read an older version writes nothing.
pub async fn systems_change_only_from_the_version_read(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let first = insert(&story, "1", 1).await?;
    let second = changed(&first);
    let update = |system: &HemSystem, from_version| {
        unit_of(
            &story,
            HemChange::Update {
                system: system.clone(),
                from_version,
            },
        )
    };
    story.store.commit(update(&second, first.version)).await?;
    let find = || story.store.find_hem_system(story.client, first.id);
    assert_eq!(find().await?, Some(second.clone()));
    let delete = |from_version| {
        unit_of(
            &story,
            HemChange::Delete {
                id: first.id,
                from_version,
            },
        )
    };
    for late in [update(&first, first.version), delete(first.version)] {
        let mut late = late;
        late.events.push(story.event(minute(3)));
        let refused = story.store.commit(late).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
    assert_eq!(find().await?, Some(second.clone()));
    // What is worth no event keeps its version.
    let quiet = HemSystem {
        members: first.members.clone(),
        ..second.clone()
    };
    story.store.commit(update(&quiet, second.version)).await?;
    assert_eq!(find().await?, Some(quiet));
    // One goes and another comes at the same site.
    let next = system(&story, "1", 5);
    let mut unit = delete(second.version);
    unit.hem_systems.push(HemChange::Insert(next.clone()));
    story.store.commit(unit).await?;
    let all = story.store.hem_systems_of_account(story.account.id).await?;
    assert_eq!(all, [next]);
    Ok(())
}

/// An account takes its systems along, and these what was told of them.
pub async fn systems_go_with_their_account(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let system = insert(&story, "1", 1).await?;
    let told = record(&system, "2026-03-02", 3);
    keep(&story, &told).await?;
    let mut unit = story.unit();
    unit.hem_systems.push(HemChange::Delete {
        id: system.id,
        from_version: system.version,
    });
    unit.accounts.push(AccountChange::Delete(story.account.id));
    story.store.commit(unit).await?;
    let gone = story.store.find_hem_system(story.client, system.id).await?;
    assert_eq!(gone, None);
    let find = || story.store.hem_record(system.id, told.history.period);
    assert_eq!(find().await?, None);
    // What is told of one that is gone is passed over.
    keep(&story, &told).await?;
    assert_eq!(find().await?, None);
    let orphan = unit_of(&story, HemChange::Insert(system));
    assert!(matches!(
        story.store.commit(orphan).await,
        Err(StoreError::Conflict)
    ));

    story.save_account(&story.account).await?;
    let system = insert(&story, "1", 2).await?;
    let user = story.account.user_id.clone();
    assert!(story.store.delete_user(story.client, user).await?);
    let gone = story.store.find_hem_system(story.client, system.id).await?;
    assert_eq!(gone, None);
    Ok(())
}

fn record(system: &HemSystem, period: &str, at: i64) -> HemRecord {
    let period: Period = period.parse().expect("a period");
    let series = [
        (Series::Import, vec![Some(0.1), None, Some(at as f64)]),
        (Series::BatteryLevel, vec![Some(99.5)]),
    ];
    HemRecord {
        system_id: system.id,
        history: SiteHistory {
            period,
            zone: system.zone(),
            series: BTreeMap::from(series),
            fetched_at: minute(at),
            is_final: at % 2 == 0,
        },
    }
}

async fn keep(story: &Story, record: &HemRecord) -> StoreResult<()> {
    let mut unit = story.unit();
    unit.hem_records.push(record.clone());
    assert!(!unit.is_empty());
    story.store.commit(unit).await.map(drop)
}

/// The newest of each period.
pub async fn records_come_back_as_they_were_told(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let system = insert(&story, "1", 1).await?;
    let (first, newer) = (
        record(&system, "2026-03-02", 3),
        record(&system, "2026-03-02", 4),
    );
    let mut month = record(&system, "2026-03", 5);
    month.history.series.clear();
    for told in [&first, &newer, &month] {
        keep(&story, told).await?;
    }
    for told in [newer, month] {
        let found = story
            .store
            .hem_record(system.id, told.history.period)
            .await?;
        assert_eq!(found, Some(told.history));
    }
    let unknown = "2026-03-03".parse().expect("a period");
    assert_eq!(story.store.hem_record(system.id, unknown).await?, None);
    Ok(())
}
