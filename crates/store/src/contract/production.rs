//! What vendors recorded of the production of inverters, and when to ask again.

use std::sync::Arc;

use jiff::Timestamp;
use livewatt_domain::{
    device::Device,
    id::DeviceId,
    partition::Partitions,
    production::{Known, Period, Production},
};

use super::{Story, minute};
use crate::{DeviceChange, ProductionDue, ProductionVisit, Store, StoreResult};

fn period(text: &str) -> Period {
    text.parse().expect("a period")
}

fn told(of: &str, kwh: Option<Vec<Option<f64>>>, at: i64, is_final: bool) -> Production {
    Production {
        period: period(of),
        zone: "Europe/Oslo".parse().expect("a zone"),
        kwh,
        fetched_at: minute(at),
        is_final,
    }
}

async fn visit(story: &Story, visit: ProductionVisit) -> StoreResult<()> {
    let mut unit = story.unit();
    unit.productions.push(visit);
    assert!(!unit.is_empty());
    story.store.commit(unit).await.map(drop)
}

fn visit_of(device: &Device, told: Option<Production>, next_at: i64) -> ProductionVisit {
    ProductionVisit {
        device_id: device.id,
        told,
        next_at: minute(next_at),
        failures: 0,
    }
}

/// What was told comes back as it was, the newest of each period.
pub async fn comes_back_as_it_was_told(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let nothing = told("2026-02", None, 3, true);
    let first = told("2026-03-02", Some(vec![Some(0.1), None]), 1, false);
    let newer = told("2026-03-02", Some(vec![Some(0.125), Some(2.5)]), 4, true);
    for (at, told) in [(1, first), (3, nothing.clone()), (4, newer.clone())] {
        visit(&story, visit_of(&device, Some(told), at)).await?;
    }
    let month = told("2026-03", Some(vec![Some(1e-9)]), 5, false);
    visit(&story, visit_of(&device, Some(month.clone()), 5)).await?;
    // A visit that brought nothing takes nothing away.
    visit(&story, visit_of(&device, None, 6)).await?;
    for one in [&nothing, &newer, &month] {
        let found = story.store.production(device.id, one.period).await?;
        assert_eq!(found.as_ref(), Some(one));
    }
    let unknown = story.store.production(device.id, period("2026-03-03"));
    assert_eq!(unknown.await?, None);
    let known = |told: &Production| Known {
        period: told.period,
        fetched_at: told.fetched_at,
        is_final: told.is_final,
    };
    let from = |from| story.store.known_productions(device.id, period(from));
    assert_eq!(
        from("2026-02").await?,
        [&nothing, &month, &newer].map(known)
    );
    assert_eq!(from("2026-03").await?, [&month, &newer].map(known));
    assert_eq!(from("2026-03-03").await?, []);
    Ok(())
}

async fn due(
    story: &Story,
    of: Partitions,
    now: Timestamp,
    limit: u32,
) -> StoreResult<Vec<(DeviceId, u32)>> {
    let integration = story.account.integration.clone();
    let due = story.store.productions_due(integration, of, now, limit);
    let told = |due: ProductionDue| {
        assert_eq!(due.account_id, story.account.id);
        (due.device_id, due.failures)
    };
    Ok(due.await?.into_iter().map(told).collect())
}

/// Those that wait for longest come first, and nobody before their time.
pub async fn inverters_are_asked_about_in_turn(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (one, two, three) = (
        story.discover(1).await?,
        story.discover(2).await?,
        story.discover(3).await?,
    );
    assert_eq!(story.store.next_production(one.id).await?, None);
    for (device, next_at, failures) in [(&one, 20, 3), (&two, 10, 0), (&three, 30, 1)] {
        let visited = ProductionVisit {
            failures,
            ..visit_of(device, None, next_at)
        };
        visit(&story, visited).await?;
    }
    let all = Partitions::ALL;
    assert_eq!(due(&story, all, minute(9), 9).await?, []);
    let first = (two.id, 0);
    assert_eq!(due(&story, all, minute(10), 9).await?, [first]);
    let both = due(&story, all, minute(29), 9).await?;
    assert_eq!(both, [first, (one.id, 3)]);
    assert_eq!(due(&story, all, minute(60), 1).await?, [first]);
    assert_eq!(due(&story, Partitions::NONE, minute(60), 9).await?, []);
    let strangers = "another".to_owned();
    let strangers = story.store.productions_due(strangers, all, minute(60), 9);
    assert_eq!(strangers.await?, []);
    visit(&story, visit_of(&two, None, 40)).await?;
    let next = story.store.next_production(two.id).await?;
    assert_eq!(next, Some(minute(40)));
    let now = due(&story, all, minute(60), 9).await?;
    assert_eq!(now, [(one.id, 3), (three.id, 1), first]);
    Ok(())
}

/// A device takes along what it produced; what is told of one that is gone is passed over.
pub async fn goes_with_its_inverter(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    let one = told("2026-03-02", Some(vec![Some(1.0)]), 1, false);
    let visited = visit_of(&device, Some(one.clone()), 5);
    visit(&story, visited.clone()).await?;
    let mut unit = story.unit();
    unit.devices.push(DeviceChange::Delete {
        id: device.id,
        from_version: device.version,
        at: minute(60),
    });
    story.store.commit(unit).await?;
    let find = || story.store.production(device.id, one.period);
    assert_eq!(find().await?, None);
    assert_eq!(story.store.next_production(device.id).await?, None);
    visit(&story, visited).await?;
    assert_eq!(find().await?, None);
    assert_eq!(due(&story, Partitions::ALL, minute(60), 9).await?, []);
    Ok(())
}
