//! What the helios cloud recorded of a site: all flows of a day by the quarter hour, or of a month by
//! the day, in the calendar of the site.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::{
    clouds::{
        gate::{self, Call, Reply},
        helios::{
            call, find,
            history::{Kept, Steps, Wanted},
        },
    },
    server::Shared,
    world::{
        account::{Household, PartKind},
        record::Quarter,
        town::TOWNS,
    },
};

pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let call = Call {
        is_read: true,
        device: Some(&id),
        ..call("flows")
    };
    gate::serve(&shared, call, &headers, |world, grant| {
        let house = find(world, &grant.account, &id)?;
        let timezone = TOWNS[world.accounts[&grant.account].town].timezone;
        let zone = TimeZone::get(timezone).unwrap_or(TimeZone::UTC);
        let steps = Steps::of(&wanted, &zone)?;
        let told = Told {
            house,
            zone: &zone,
            steps: &steps,
        };
        Reply::ok(json!({
            "site": id,
            "timezone": timezone,
            "step": steps.word(),
            "from": steps.from * 1000,
            "solar_wh": told.solar(),
            "load_wh": told.flow(PartKind::Meter, Quarter::used),
            "import_wh": told.flow(PartKind::Meter, |quarter| quarter.bought.into()),
            "export_wh": told.flow(PartKind::Meter, |quarter| quarter.sold.into()),
            "charged_wh": told.flow(PartKind::Battery, |quarter| quarter.charged.into()),
            "discharged_wh": told.flow(PartKind::Battery, |quarter| quarter.discharged.into()),
            "soc": told.level(),
        }))
    })
    .await
}

struct Told<'a> {
    house: &'a Household,
    zone: &'a TimeZone,
    steps: &'a Steps,
}

impl Told<'_> {
    /// What the cloud knows by a part; `None` if the site has no such.
    fn by(&self, part: PartKind) -> Option<Kept<'_>> {
        let is_there = self.house.part(part).is_present();
        is_there.then(|| Kept::of(self.house, part, self.zone))
    }

    fn solar(&self) -> Option<Vec<Value>> {
        let kept = self.by(PartKind::Inverter)?;
        Some(self.steps.watt_hours(|start| kept.solar(start)))
    }

    fn flow(&self, part: PartKind, pick: fn(Quarter) -> i64) -> Option<Vec<Value>> {
        let kept = self.by(part)?;
        Some(self.steps.watt_hours(|start| kept.quarter(start).map(pick)))
    }

    fn level(&self) -> Option<Vec<Value>> {
        let kept = self.by(PartKind::Battery).filter(|_| self.steps.is_day())?;
        let level = |start| match kept.quarter(start) {
            Some(quarter) => json!(format!("{:.1}", f64::from(quarter.level) / 10.0)),
            None => Value::Null,
        };
        Some(self.steps.values(level))
    }
}
