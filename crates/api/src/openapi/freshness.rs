//! The schemas of what is told about freshness.

use livewatt_domain::age::{BreachReason, Slowed};
use utoipa::openapi::{
    Ref, RefOr,
    schema::{ObjectBuilder, Schema, Type},
};

use super::{Schemas, list_of, nullable, plain, sent};

type Properties = Vec<(&'static str, RefOr<Schema>)>;

pub(super) fn add(schemas: Schemas) -> Schemas {
    schemas
        .with("Freshness", freshness())
        .with("BlockFreshness", block_freshness())
        .with("CurrentBreach", current_breach())
        .with("FreshnessReport", report())
        .with("FreshnessRow", row())
        .with("Breach", breach())
}

pub(super) fn of(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

pub(super) fn text(description: &str) -> RefOr<Schema> {
    plain(Type::String, description).into()
}

pub(super) fn maybe_text(description: &str) -> RefOr<Schema> {
    nullable(Type::String, description).into()
}

pub(super) fn number(description: &str) -> RefOr<Schema> {
    plain(Type::Number, description).into()
}

pub(super) fn maybe_number(description: &str) -> RefOr<Schema> {
    nullable(Type::Number, description).into()
}

pub(super) fn count(description: &str) -> RefOr<Schema> {
    plain(Type::Integer, description).into()
}

pub(super) fn truth(description: &str) -> RefOr<Schema> {
    plain(Type::Boolean, description).into()
}

/// An object of this schema, or null.
pub(super) fn maybe(name: &str) -> RefOr<Schema> {
    utoipa::openapi::schema::OneOfBuilder::new()
        .item(Ref::from_schema_name(name))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .into()
}

/// Numbers by some of these names; those that are zero are left out.
fn numbers_by(kind: Type, description: &str, names: &[&str]) -> RefOr<Schema> {
    let object = ObjectBuilder::new().description(Some(description));
    names
        .iter()
        .fold(object, |object, name| {
            object.property(*name, ObjectBuilder::new().schema_type(kind.clone()))
        })
        .into()
}

fn freshness() -> ObjectBuilder {
    sent(vec![
        ("deviceId", text("The device")),
        ("kind", of("DeviceKind")),
        (
            "isReachable",
            nullable(Type::Boolean, "Whether live data can be had now").into(),
        ),
        ("lastSeen", text("Last successful contact")),
        ("activity", of("Activity")),
        (
            "intervalSeconds",
            maybe_number("Time between two fetches; null if it is never asked"),
        ),
        ("reason", of("CadenceReason")),
        (
            "standardSeconds",
            number("The standard time between two fetches of such a device"),
        ),
        ("slowerBecause", maybe("Slowed")),
        ("nextDueAt", maybe_text("When it is fetched next")),
        ("holdup", maybe_text("What holds back the next fetch")),
        ("blocks", list_of("BlockFreshness").into()),
        ("lastAttempts", list_of("Attempt").into()),
    ])
}

fn block_freshness() -> ObjectBuilder {
    sent(vec![
        ("block", text("Name of the block")),
        ("lastUpdated", maybe_text("When it last changed")),
        (
            "confirmedAt",
            maybe_text("When its vendor last confirmed it"),
        ),
        ("ageSeconds", maybe_number("Seconds since then")),
        ("targetSeconds", number("The age it should not exceed")),
        ("isWithinTarget", truth("Whether it does not")),
        (
            "isWithinPromise",
            truth("Whether it is not older than the interval in force and one poll"),
        ),
        ("breach", maybe("CurrentBreach")),
    ])
}

/// What every breach tells.
fn of_breach() -> Properties {
    vec![
        ("began", text("When the age passed what was promised")),
        ("reason", of("BreachReason")),
        (
            "outcome",
            maybe_text("How the last attempt before it ended, if that was the reason"),
        ),
    ]
}

fn current_breach() -> ObjectBuilder {
    sent(of_breach())
}

fn breach() -> ObjectBuilder {
    let mut properties = vec![
        ("deviceId", text("The device")),
        ("userId", text("The end user")),
        ("vendor", text("Its vendor")),
        ("kind", of("DeviceKind")),
        ("block", text("Name of the block")),
        ("ended", maybe_text("When that ended; null while it lasts")),
        ("worstAgeSeconds", count("The greatest age up to now")),
        ("targetSeconds", count("The standard interval then")),
        ("intervalSeconds", count("The interval promised then")),
    ];
    properties.extend(of_breach());
    sent(properties).description(Some(
        "A period during which a block of a device that can be reached was older than promised.",
    ))
}

fn report() -> ObjectBuilder {
    sent(vec![
        ("from", text("Beginning of the first hour counted")),
        ("to", text("End of the last hour counted, or now")),
        ("rows", list_of("FreshnessRow").into()),
        ("breachCount", count("Breaches in that time")),
        ("breaches", list_of("Breach").into()),
    ])
    .description(Some(
        "How fresh data was, weighed by time: the ages one would see by looking at random \
         moments. Whole hours; the newest 500 breaches are listed, all are counted.",
    ))
}

fn row() -> ObjectBuilder {
    let reasons = BreachReason::ALL.map(BreachReason::name);
    let slowed = Slowed::ALL.map(Slowed::name);
    sent(vec![
        ("vendor", text("The vendor")),
        ("kind", of("DeviceKind")),
        ("block", text("Name of the block")),
        (
            "deviceHours",
            number("Time watched, hours of one device each"),
        ),
        (
            "shareWithin",
            maybe_number("Share of the reachable time in which the age was what was promised"),
        ),
        (
            "shareWithinStandard",
            maybe_number("The same against the standard, whatever was promised"),
        ),
        (
            "p50Seconds",
            maybe_number("Age not exceeded in half of the time"),
        ),
        (
            "p99Seconds",
            maybe_number("Age not exceeded in 99 hundredths of the time"),
        ),
        (
            "maxSeconds",
            maybe_number("The greatest age while reachable"),
        ),
        (
            "shareUnreachable",
            number("Share of all time in which the device could not be reached"),
        ),
        (
            "unreachableHours",
            numbers_by(Type::Number, "The same, hours by reason", &reasons),
        ),
        (
            "slowerHours",
            numbers_by(
                Type::Number,
                "Hours in which less than the standard was promised, by reason",
                &slowed,
            ),
        ),
        (
            "breaches",
            numbers_by(Type::Integer, "Breaches by reason", &reasons),
        ),
        ("openBreaches", count("Of these, how many last")),
        (
            "withinSeconds",
            count("Seconds within the promise, exactly"),
        ),
        ("beyondSeconds", count("Seconds beyond it, exactly")),
        (
            "unreachableSeconds",
            count("Seconds not reachable, exactly"),
        ),
    ])
}
