//! The schemas of what is told about energy and charging.

use livewatt_domain::{
    energy::Resolution,
    session::{Closed, Gap, Opened},
    tariff::PriceOrigin,
};
use utoipa::openapi::{
    RefOr,
    schema::{ObjectBuilder, OneOfBuilder, Schema, Type},
};

use super::{
    Schemas,
    freshness::{count, maybe, maybe_number, maybe_text, number, of, text, truth},
    list_of, sent, text_enum,
};

type Properties = Vec<(&'static str, RefOr<Schema>)>;

pub(super) fn add(schemas: Schemas) -> Schemas {
    schemas
        .add::<Resolution>()
        .add::<Opened>()
        .add::<Closed>()
        .add_sent::<Gap>()
        .add_sent::<PriceOrigin>()
        .with("EnergyCost", cost())
        .with("PriceSpread", price_spread())
        .with("CostSource", source())
        .with("Spread", spread())
        .with("ChargingStatistics", statistics())
        .with("ChargingStatisticsList", list_of("ChargingStatistics"))
        .with("ProductionStatistics", earnings())
        .with(
            "ProductionStatisticsList",
            sent(vec![("data", list_of("ProductionStatistics").into())]),
        )
        .with("SessionStatistics", session())
        .with("SessionsStatisticsList", list_of("SessionStatistics"))
        .with("InverterStatistics", sent(production()))
        .with("InverterStatisticsPending", {
            let mut properties = production();
            properties.push(("retryAfter", text("When more may be known")));
            sent(properties)
        })
        .with("InverterStatisticsResolutions", resolutions())
        .with("InverterStatisticsResolutionEntry", series())
        .with("InverterStatisticsPoint", point())
        .with("DeviceEnergy", device_energy())
        .with("FlowHistory", flow())
        .with("HistoryBucket", bucket())
        .with("Energy", sent(energy()))
        .with("Charge", charge())
        .with("ChargeReading", reading())
        .with("ChargeList", sent(vec![("data", list_of("Charge").into())]))
}

fn spread() -> ObjectBuilder {
    sent(vec![
        ("min", maybe_number("Least; null if not known")),
        ("max", maybe_number("Greatest; null if not known")),
        ("mean", maybe_number("Mean; null if not known")),
    ])
}

fn cost() -> ObjectBuilder {
    sent(vec![
        (
            "amount",
            maybe_text("What all of it cost, as a decimal number; null if a part has no price"),
        ),
        ("currency", maybe_text("ISO 4217 code; null if not known")),
        ("price", of("PriceSpread")),
        ("unpricedKwh", number("Energy without a price, kWh")),
        ("sources", list_of("CostSource").into()),
    ])
}

fn price_spread() -> ObjectBuilder {
    sent(vec![
        ("min", maybe_text("Least; null if there is no amount")),
        ("max", maybe_text("Greatest; null if there is no amount")),
        ("mean", maybe_text("Mean by energy; null likewise")),
    ])
}

fn source() -> ObjectBuilder {
    sent(vec![
        ("source", of("PriceOrigin")),
        ("currency", maybe_text("ISO 4217 code; null if not known")),
        ("kwh", number("Energy that it priced")),
        ("amount", text("What that cost, as a decimal number")),
    ])
}

/// What buckets and sessions of the contract have in common.
fn of_charging() -> Properties {
    vec![
        ("kw", of("Spread")),
        ("kwhSum", number("Energy, kWh")),
        ("price", of("Spread")),
        ("costSum", number("Cost")),
        ("nonSmartPrice", of("Spread")),
        (
            "estimatedSavings",
            maybe_number("Saved by smart charging; null if it shifted nothing"),
        ),
    ]
}

fn statistics() -> ObjectBuilder {
    let mut properties = of_charging();
    properties.push(("date", text("When the bucket begins")));
    sent(properties)
}

fn earnings() -> ObjectBuilder {
    sent(vec![
        ("date", text("When the bucket begins")),
        ("kw", of("Spread")),
        ("kwhSum", number("Energy, kWh")),
        ("price", of("Spread")),
        (
            "earningsSum",
            maybe_number("What it was worth; null if a part of it has no price"),
        ),
        (
            "currency",
            maybe_text("ISO 4217 code; null without earnings, or if not known"),
        ),
        ("unpricedKwh", number("Energy without a price, kWh")),
    ])
}

fn session() -> ObjectBuilder {
    let mut properties = of_charging();
    properties.extend([
        ("from", text("When it began")),
        ("to", text("When it ended, or was last seen to go on")),
        ("id", text("The device")),
        (
            "locationId",
            maybe_text("The Location that the device was at"),
        ),
    ]);
    sent(properties)
}

fn production() -> Properties {
    vec![
        ("timezone", text("The zone by whose calendar days begin")),
        ("resolutions", of("InverterStatisticsResolutions")),
    ]
}

fn resolutions() -> ObjectBuilder {
    let entry = || of("InverterStatisticsResolutionEntry");
    ObjectBuilder::new()
        .property("QUARTER_HOUR", entry())
        .property("DAY", entry())
}

fn series() -> ObjectBuilder {
    let none = ObjectBuilder::new().schema_type(Type::Null);
    let points = OneOfBuilder::new()
        .item(list_of("InverterStatisticsPoint"))
        .item(none)
        .description(Some("The buckets in order; null if nothing is known"));
    sent(vec![
        ("unit", text_enum("Unit of the values", &["kWh"])),
        ("data", points.into()),
    ])
}

fn point() -> ObjectBuilder {
    sent(vec![
        (
            "date",
            text("When the bucket begins, with the offset of the place"),
        ),
        ("value", maybe_number("Energy, kWh; null if not known")),
    ])
}

fn device_energy() -> ObjectBuilder {
    sent(vec![
        ("deviceId", text("The device")),
        ("kind", of("DeviceKind")),
        ("resolution", of("Resolution")),
        ("flows", list_of("FlowHistory").into()),
    ])
}

fn flow() -> ObjectBuilder {
    sent(vec![
        (
            "flow",
            text("charge, discharge, consumption, production, import or export"),
        ),
        ("data", list_of("HistoryBucket").into()),
    ])
}

fn energy() -> Properties {
    vec![
        ("kwh", number("Energy, kWh")),
        ("counterKwh", number("Of it, by a counter of the vendor")),
        ("rateKwh", number("Of it, by power and time")),
        (
            "stateOfChargeKwh",
            number("Of it, by the level of a battery"),
        ),
    ]
}

fn bucket() -> ObjectBuilder {
    let mut properties = energy();
    properties.extend([
        ("date", text("When the bucket begins")),
        ("kw", of("Spread")),
        ("cost", maybe("EnergyCost")),
        (
            "coverage",
            number("Share of the time of which anything is known, 0 to 1"),
        ),
        (
            "bridged",
            number("Share of the time of which only the sum is known"),
        ),
        (
            "isFinal",
            truth("It is over, and nothing in time changes it"),
        ),
        (
            "version",
            count("Rises when it turns out otherwise after it was over"),
        ),
        (
            "restated",
            maybe_text("Why it last did: lateData or laterData; null if it never did"),
        ),
    ]);
    sent(properties)
}

fn charge() -> ObjectBuilder {
    sent(vec![
        ("id", text("Stays when more becomes known")),
        ("from", text("When it began")),
        ("to", text("When it ended, or was last seen to go on")),
        ("isOngoing", truth("It goes on")),
        ("kwh", number("Energy by the better reading, kWh")),
        (
            "differenceKwh",
            maybe_number("What the charger counted more than the vehicle; null without both"),
        ),
        (
            "locationId",
            maybe_text("Where it was; null if that is not known"),
        ),
        ("cost", maybe("EnergyCost")),
        ("readings", list_of("ChargeReading").into()),
    ])
}

fn reading() -> ObjectBuilder {
    sent(vec![
        ("deviceId", text("The device")),
        ("kind", of("DeviceKind")),
        ("from", text("When it began, by this device")),
        ("to", text("When it ended, or was last seen to go on")),
        ("opened", of("Opened")),
        ("closed", maybe("Closed")),
        ("readings", count("Readings that said that it charges")),
        ("gaps", list_of("Gap").into()),
        ("energy", of("Energy")),
        ("kw", of("Spread")),
        (
            "levelFrom",
            maybe_number("State of charge at the beginning, %"),
        ),
        ("levelTo", maybe_number("State of charge at the end, %")),
        (
            "locationId",
            maybe_text("Where the device was; null if that is not known"),
        ),
        ("cost", maybe("EnergyCost")),
    ])
}
