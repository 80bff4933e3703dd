//! Smart charging.

use std::sync::Arc;

use livewatt_domain::{
    device::Device,
    id::{ClientId, DeviceId, PlanId},
    kind::DeviceKind,
    money::Decimal,
    partition::Partitions,
    plan::{Inputs, Margin, PriceSpan, Style, plan},
    smart::{PlanRecord, Smart, SmartState},
    zone::Zone,
};

use super::{Story, minute, user_id};
use crate::{SmartChange, Store, StoreError, StoreResult, StoredSmart, claim_of};

impl Story {
    /// A plan that was begun at a minute.
    pub fn plan(&self, at: i64) -> PlanRecord {
        let deadline = "07:00".parse();
        let deadline = deadline.unwrap_or_else(|_| unreachable!("it is a time of day"));
        let price = |hour: i64, amount: i64| PriceSpan {
            from: minute(at + hour * 60),
            to: minute(at + hour * 60 + 60),
            per_kwh: Decimal::new(amount, 4),
        };
        let inputs = Inputs {
            now: minute(at),
            deadline,
            zone: Zone::default(),
            level: Some(41.5),
            capacity_kwh: Some(60.0),
            limit: 80.0,
            minimum: 20.0,
            rate_kw: Some(11.0),
            minutes_remaining: None,
            is_charging: true,
            margin: Margin::default(),
            style: Style::Once,
            least_saving: Decimal::ZERO,
            more_prices_at: None,
            may_await: false,
            currency: None,
            prices: (0..20).map(|hour| price(hour, 3000 - hour * 7)).collect(),
        };
        let made = plan(&inputs);
        let known = |at: Option<_>| at.unwrap_or_else(|| unreachable!("it is cheaper later"));
        PlanRecord {
            id: PlanId::new(minute(at), self.entropy()),
            location_id: None,
            deadline,
            due_at: known(made.due_at),
            currency: made.currency,
            non_smart_cost: made.non_smart_cost.unwrap_or_default(),
            smart_cost: made.smart_cost,
            stop_at: minute(at),
            start_at: made.start_at,
            estimated_finish_at: known(made.finish_at),
            stop_confirmed_at: None,
            start_confirmed_at: None,
            ended_at: None,
            final_state: None,
            failure_condition: None,
            action_id: None,
            inputs,
            made,
        }
    }

    /// What a device comes to be charged like.
    pub async fn charge(
        &self,
        device: &Device,
        before: Option<&StoredSmart>,
        smart: &Smart,
    ) -> StoreResult<StoredSmart> {
        let mut unit = self.unit();
        unit.smart
            .push(SmartChange::new(device, before, smart.clone()));
        self.store.commit(unit).await?;
        let stored = self.store.find_smart(device.id).await?;
        Ok(stored.unwrap_or_else(|| unreachable!("it was written")))
    }

    async fn active(&self, of: Partitions) -> StoreResult<Vec<DeviceId>> {
        let active = self.store.active_smart(of).await?;
        let own = |(account, device)| {
            assert_eq!(account, self.account.id);
            device
        };
        Ok(active.into_iter().map(own).collect())
    }
}

fn enabled() -> Smart {
    let mut smart = Smart::new(minute(1));
    smart.policy.is_enabled = true;
    smart.policy.minimum_charge_limit = 12.5;
    smart
}

/// It comes back as it was, with its newest plan, and changes from the revision that was read alone.
pub async fn comes_back_and_changes_as_it_was_read(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let device = story.discover(1).await?;
    assert_eq!(story.store.find_smart(device.id).await?, None);
    let smart = enabled();
    let first = story.charge(&device, None, &smart).await?;
    let expected = StoredSmart {
        device_id: device.id,
        client_id: story.client,
        account_id: story.account.id,
        smart: smart.clone(),
        revision: 1,
    };
    assert_eq!(first, expected);
    let again = story.charge(&device, None, &smart).await;
    assert!(matches!(again, Err(StoreError::Duplicate)), "{again:?}");

    let mut planned = smart.clone();
    planned.plan = Some(story.plan(5));
    planned.state = SmartState::Stopping;
    planned.begin_override((DeviceKind::Vehicle, device.id), None, minute(6));
    let second = story.charge(&device, Some(&first), &planned).await?;
    assert_eq!((second.revision, &second.smart), (2, &planned));
    let late = story.charge(&device, Some(&first), &smart).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    assert_eq!(story.store.find_smart(device.id).await?, Some(second));
    Ok(())
}

/// Plans stay readable, each as it was in the end, when newer ones take their place.
pub async fn plans_are_kept(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (device, other) = (story.discover(1).await?, story.discover(2).await?);
    let found = |id| story.store.smart_plan(device.id, id);
    assert_eq!(found(None).await?, None);
    let mut smart = enabled();
    let mut one = story.plan(5);
    smart.plan = Some(one.clone());
    let stored = story.charge(&device, None, &smart).await?;
    one.ended_at = Some(minute(9));
    one.final_state = Some(SmartState::Unplugged);
    smart.plan = Some(one.clone());
    let stored = story.charge(&device, Some(&stored), &smart).await?;
    let two = story.plan(12);
    smart.plan = Some(two.clone());
    story.charge(&device, Some(&stored), &smart).await?;

    assert_eq!(found(None).await?.as_ref(), Some(&two));
    assert_eq!(found(Some(one.id)).await?.as_ref(), Some(&one));
    assert_eq!(found(Some(two.id)).await?.as_ref(), Some(&two));
    let unknown = PlanId::new(minute(1), story.entropy());
    assert_eq!(found(Some(unknown)).await?, None);
    let of_other = story.store.smart_plan(other.id, Some(one.id));
    assert_eq!(of_other.await?, None);
    Ok(())
}

/// Whoever takes partitions over finds what is to be seen to there, and nothing else.
pub async fn what_is_to_be_seen_to_is_found(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (device, idle) = (story.discover(1).await?, story.discover(2).await?);
    let mut smart = enabled();
    let stored = story.charge(&device, None, &smart).await?;
    story.charge(&idle, None, &Smart::new(minute(1))).await?;
    let own = [story.account.id.partition()].into_iter().collect();
    assert_eq!(story.active(own).await?, [device.id]);
    assert_eq!(story.active(Partitions::ALL).await?, [device.id]);
    assert_eq!(story.active(Partitions::NONE).await?, []);
    // Switched off, but its plan is not over yet.
    smart.policy.is_enabled = false;
    smart.plan = Some(story.plan(3));
    let stored = story.charge(&device, Some(&stored), &smart).await?;
    assert_eq!(story.active(own).await?, [device.id]);
    smart.plan = None;
    story.charge(&device, Some(&stored), &smart).await?;
    assert_eq!(story.active(own).await?, []);
    Ok(())
}

/// A vehicle is claimed by one device of a client while that is enabled.
pub async fn a_vehicle_is_claimed_once(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (mut one, mut two) = (story.discover(1).await?, story.discover(2).await?);
    for device in [&mut one, &mut two] {
        let vin = "1FTEW1E44KFA10000".into();
        device.document.set_path("information.vin", vin);
    }
    let claim = claim_of(&one);
    assert_eq!(claim, claim_of(&two));
    let store = &story.store;
    let is_claimed = |client, but_for| store.is_claimed(client, claim.clone(), but_for);
    assert!(!is_claimed(story.client, two.id).await?);
    let mut smart = enabled();
    let stored = story.charge(&one, None, &smart).await?;
    assert!(is_claimed(story.client, two.id).await?);
    assert!(!is_claimed(story.client, one.id).await?, "by itself");
    let other = ClientId::new(minute(1), story.entropy());
    assert!(!is_claimed(other, two.id).await?);
    let refused = story.charge(&two, None, &smart).await;
    assert!(matches!(refused, Err(StoreError::Duplicate)), "{refused:?}");
    smart.policy.is_enabled = false;
    story.charge(&one, Some(&stored), &smart).await?;
    assert!(!is_claimed(story.client, two.id).await?);
    story.charge(&two, None, &enabled()).await?;
    Ok(())
}

/// It needs its device, and goes with it and with its user, plans and all.
pub async fn goes_with_its_device_and_its_user(store: Arc<dyn Store>) -> StoreResult<()> {
    let story = Story::begin(store).await?;
    let (one, two) = (story.discover(1).await?, story.discover(2).await?);
    let mut smart = enabled();
    smart.plan = Some(story.plan(5));
    story.charge(&one, None, &smart).await?;
    smart.plan = Some(story.plan(6));
    story.charge(&two, None, &smart).await?;
    let mut unit = story.unit();
    unit.devices.push(crate::DeviceChange::Delete {
        id: one.id,
        from_version: 1,
        at: minute(60),
    });
    story.store.commit(unit).await?;
    assert_eq!(story.store.find_smart(one.id).await?, None);
    assert_eq!(story.store.smart_plan(one.id, None).await?, None);
    let orphan = story.charge(&one, None, &smart).await;
    assert!(matches!(orphan, Err(StoreError::Conflict)), "{orphan:?}");
    let deleted = story.store.delete_user(story.client, user_id("ada"));
    assert!(deleted.await?);
    assert_eq!(story.store.find_smart(two.id).await?, None);
    assert_eq!(story.store.smart_plan(two.id, None).await?, None);
    Ok(())
}
