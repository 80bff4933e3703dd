//! What a step of smart charging goes by: how the vehicle stands, and what energy will cost there.

use livewatt_domain::{
    SignedDuration, Timestamp,
    action::Action,
    device::{Device, vehicle},
    energy::quarter_of,
    id::{ActionId, DeviceId, LocationId},
    location::of_document,
    money::Decimal,
    plan::{Inputs, Margin, due, spans},
    smart::{Power, Seen, Smart},
    tariff::prices,
};
use serde_json::Value;

use crate::{Engine, EngineResult};

/// Prices of tomorrow are published in the early afternoon, at this time of day of the place.
const PUBLISHED_AT: &str = "13:00";
/// If they are late, they are looked for this often.
const LATE_EVERY: SignedDuration = SignedDuration::from_mins(15);
/// So long after the deadline prices are looked at, to tell what the deadline cost.
const BEYOND: SignedDuration = SignedDuration::from_hours(6);
/// A vehicle that charges with less is about to begin or to end, kW.
const LEAST_RATE: f64 = 0.5;

impl Engine {
    /// How a device stands, and what a plan would go by now.
    pub(super) async fn look_at_smart(
        &self,
        device: &Device,
        smart: &Smart,
        now: Timestamp,
    ) -> EngineResult<(Seen, Option<Inputs>)> {
        let location = self.place_of(device).await?;
        let mut seen = Seen::of(device, location, false);
        let plan = smart.plan.as_ref();
        let last = self.action_of(device, plan.and_then(|plan| plan.action_id));
        seen.last = last.await?.as_ref().map(Into::into);
        let begun = smart.smart_override.and_then(|one| one.vendor_action_id);
        let begun = self.action_of(device, begun).await?;
        seen.override_action = begun.map(|action| action.state);
        let (Some(location), Some(deadline)) = (location, smart.policy.deadline) else {
            return Ok((seen, None));
        };
        let range = quarter_of(now)..later(now, SignedDuration::from_hours(48));
        let found = self
            .timetable(device.client_id, &location.to_string(), range.clone())
            .await;
        let (zone, timetable) = match found {
            Ok(found) => found,
            Err(crate::EngineError::LocationNotFound(_)) => return Ok((seen, None)),
            Err(error) => return Err(error),
        };
        let end = due(now, deadline, &zone).map_or(range.end, |due| later(due, BEYOND));
        let (currency, known) = spans(prices(&timetable, &zone, range.start..end.min(range.end)));
        seen.has_prices = !known.is_empty();
        let is_charging = seen.power == Power::Charging;
        let frozen = plan.filter(|plan| plan.is_active());
        let frozen = frozen.map(|plan| &plan.inputs);
        let get = |key| device.document.get(key);
        let limit = get(vehicle::CHARGE_LIMIT).unwrap_or(100.0);
        let level = get(vehicle::BATTERY_LEVEL);
        let has_market = self.has_market(device, location).await?;
        let published = PUBLISHED_AT.parse().ok();
        let next = published.and_then(|published| due(now, published, &zone));
        let more_prices_at = next.filter(|_| has_market).map(|next| {
            let known_until = known.last().map_or(now, |span| span.to);
            // What was to be published last reaches beyond the next publication.
            match known_until <= next {
                true => next.min(later(now, LATE_EVERY)),
                false => next,
            }
        });
        let rate = get(vehicle::CHARGE_RATE).filter(|rate| is_charging && *rate >= LEAST_RATE);
        let told = get(vehicle::CHARGE_TIME_REMAINING).filter(|told| is_charging && *told > 0.0);
        let inputs = Inputs {
            now,
            deadline,
            level,
            capacity_kwh: get(vehicle::BATTERY_CAPACITY),
            limit,
            minimum: smart.policy.minimum_charge_limit,
            rate_kw: rate.or_else(|| frozen?.rate_kw),
            minutes_remaining: told.or_else(|| scaled(frozen?, level, limit)),
            is_charging,
            margin: Margin::default(),
            style: smart.policy.style,
            least_saving: Decimal::ZERO,
            more_prices_at,
            may_await: has_market,
            currency,
            prices: known,
            zone,
        };
        Ok((seen, Some(inputs)))
    }

    /// The Location a vehicle stands at, or that of the charger it is plugged into.
    async fn place_of(&self, device: &Device) -> EngineResult<Option<LocationId>> {
        let own = of_document(&device.document);
        let charger = device.document.path("chargeState.pluggedInChargerId");
        let charger = charger.and_then(Value::as_str);
        let charger = charger.and_then(|id| id.parse::<DeviceId>().ok());
        let (None, Some(charger)) = (own, charger) else {
            return Ok(own);
        };
        let charger = self.store.find_device(device.client_id, charger).await?;
        Ok(charger.and_then(|charger| of_document(&charger.document)))
    }

    async fn action_of(
        &self,
        device: &Device,
        id: Option<ActionId>,
    ) -> EngineResult<Option<Action>> {
        let Some(id) = id else { return Ok(None) };
        let found = self.store.find_action(device.client_id, id).await?;
        Ok(found.map(|stored| stored.action))
    }

    /// Whether a market's prices count at a Location, so that more of them come every day.
    async fn has_market(&self, device: &Device, location: LocationId) -> EngineResult<bool> {
        let known = self.store.location_prices(device.client_id, location);
        let known = known.await?;
        Ok(known.is_some_and(|known| known.pricing.price_area.is_some()))
    }
}

/// What a vehicle said it takes to be full, when it is at another level since.
fn scaled(frozen: &Inputs, level: Option<f64>, limit: f64) -> Option<f64> {
    let minutes = frozen.minutes_remaining?;
    let (Some(was), Some(is)) = (frozen.level, level) else {
        return Some(minutes);
    };
    let missing = frozen.limit - was;
    (missing > 0.0).then(|| minutes * ((limit - is) / missing).max(0.0))
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_vehicle_said_shrinks_with_what_is_missing() {
        let at = |level, limit, minutes| Inputs {
            now: Timestamp::UNIX_EPOCH,
            deadline: "07:00".parse().unwrap(),
            zone: livewatt_domain::zone::Zone::default(),
            level,
            capacity_kwh: None,
            limit,
            minimum: 0.0,
            rate_kw: Some(11.0),
            minutes_remaining: minutes,
            is_charging: true,
            margin: Margin::default(),
            style: livewatt_domain::plan::Style::Once,
            least_saving: Decimal::ZERO,
            more_prices_at: None,
            may_await: false,
            currency: None,
            prices: Vec::new(),
        };
        let then = at(Some(40.0), 80.0, Some(200.0));
        assert_eq!(scaled(&then, Some(40.0), 80.0), Some(200.0));
        assert_eq!(scaled(&then, Some(60.0), 80.0), Some(100.0));
        assert_eq!(scaled(&then, Some(60.0), 100.0), Some(200.0));
        assert_eq!(scaled(&then, Some(90.0), 80.0), Some(0.0));
        assert_eq!(scaled(&then, None, 80.0), Some(200.0));
        assert_eq!(
            scaled(&at(Some(80.0), 80.0, Some(3.0)), Some(80.0), 80.0),
            None
        );
        assert_eq!(scaled(&at(Some(40.0), 80.0, None), Some(40.0), 80.0), None);
    }
}
