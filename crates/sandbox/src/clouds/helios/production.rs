//! What the helios cloud recorded of an inverter: a day by the quarter hour, or a month by the day, in
//! the calendar of the site.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::{
    clouds::{
        Refusal,
        gate::{self, Call, Reply},
        helios::{
            call,
            history::{Kept, Steps, Wanted},
        },
    },
    server::Shared,
    world::{
        World,
        account::{Household, PartKind},
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
        ..call("production")
    };
    gate::serve(&shared, call, &headers, |world, grant| {
        let (house, timezone) = find(world, &grant.account, &id)?;
        let zone = TimeZone::get(timezone).unwrap_or(TimeZone::UTC);
        let steps = Steps::of(&wanted, &zone)?;
        let record = Kept::of(house, PartKind::Inverter, &zone);
        let wh = steps.watt_hours(|start| record.solar(start));
        Reply::ok(json!({
            "inverter": id,
            "timezone": timezone,
            "step": steps.word(),
            "from": steps.from * 1000,
            "wh": wh,
        }))
    })
    .await
}

fn find<'a>(
    world: &'a World,
    account: &str,
    inverter: &str,
) -> Result<(&'a Household, &'static str), Refusal> {
    let account = &world.accounts[account];
    let house = account.households.iter().find(|house| {
        let part = house.part(PartKind::Inverter);
        part.id == inverter && part.is_present() && house.site.meta.is_present()
    });
    let house = house.ok_or(Refusal::NotFound)?;
    Ok((house, TOWNS[account.town].timezone))
}
