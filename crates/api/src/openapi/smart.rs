//! The schemas of smart charging.

use livewatt_domain::smart::{SmartChargingPlan, SmartChargingStatus};
use utoipa::openapi::{
    Ref, RefOr,
    schema::{ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type},
};

use super::{
    Schemas,
    freshness::{count, maybe_number, maybe_text, number, of, text, truth},
    list_of, sent, text_enum,
};

pub(super) fn add(schemas: Schemas) -> Schemas {
    schemas
        .add_sent::<SmartChargingPlan>()
        .add_sent::<SmartChargingStatus>()
        .with("PartialVehicleSmartChargingPolicy", partial_policy())
        .with("SmartOverride", smart_override())
        .with("PlanPrice", price())
        .with(
            "OtherPrices",
            sent(vec![("prices", list_of("PlanPrice").into())]),
        )
        .with("PlanInputs", inputs())
        .with("PlanStretch", stretch())
        .with("PlanOfCharging", plan())
        .with(
            "SmartChargingPlanExplanation",
            sent(vec![
                ("planId", text("The plan")),
                ("inputs", of("PlanInputs")),
                ("plan", of("PlanOfCharging")),
            ]),
        )
}

fn partial_policy() -> ObjectBuilder {
    let deadline = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "Time of day by which the vehicle must be full, by the clock of the place where it charges",
        ))
        .pattern(Some(r"^(((?:[01]\d|2[0-3]):[0-5]\d)|24:00)$"))
        .examples(["07:00"]);
    let minimum = ObjectBuilder::new()
        .schema_type(Type::Number)
        .description(Some("Up to this level it charges at once, %"))
        .minimum(Some(0.0))
        .maximum(Some(100.0));
    ObjectBuilder::new()
        .property("isEnabled", truth("Whether it may charge smartly"))
        .property("deadline", deadline)
        .property("minimumChargeLimit", minimum)
}

fn smart_override() -> ObjectBuilder {
    sent(vec![
        ("createdAt", text("When it began")),
        (
            "endedAt",
            maybe_text("When it ended; null while it is active"),
        ),
        (
            "targetType",
            text_enum("The kind of device", &["vehicle", "charger"]),
        ),
        ("targetId", text("The device")),
        (
            "vendorActionId",
            maybe_text("The action that it began with; null if it charged already"),
        ),
        ("userId", text("Whose device it is")),
        ("vendor", text("Its vendor")),
    ])
}

fn moment(description: &str, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some(description))
        .examples([example])
        .into()
}

fn price() -> ObjectBuilder {
    let amount = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The amount for a kWh, as a decimal number"))
        .examples(["0.21"]);
    sent(vec![
        (
            "from",
            moment("From when, inclusive", "2026-03-02T00:00:00Z"),
        ),
        (
            "to",
            moment("Until when, exclusive", "2026-03-02T01:00:00Z"),
        ),
        ("perKwh", amount.into()),
    ])
}

fn inputs() -> ObjectBuilder {
    let margin = ObjectBuilder::new()
        .description(Some("How much earlier than the deadline it ends"))
        .property("secs", count("For commands that take effect late, s"))
        .property(
            "percent",
            count("For charging slower than expected, % of its time"),
        );
    sent(vec![
        ("now", text("The moment of planning")),
        ("deadline", text("The time of day by which it must be full")),
        ("zone", text("The zone of the place")),
        ("level", maybe_number("State of charge, %")),
        ("capacityKwh", maybe_number("Usable capacity, kWh")),
        ("limit", number("Level at which charging ends, %")),
        ("minimum", number("Up to this level it charges at once, %")),
        (
            "rateKw",
            maybe_number("Power at which it is expected to charge, kW"),
        ),
        (
            "minutesRemaining",
            maybe_number("Minutes until it is full, by its own word; the longer estimate counts"),
        ),
        ("isCharging", truth("Whether it charged then")),
        ("margin", margin.into()),
        (
            "style",
            text_enum("How often it may stop and start", &["once", "several"]),
        ),
        ("leastSaving", text("A plan that saves less is none")),
        (
            "morePricesAt",
            maybe_text("When prices of later times were expected"),
        ),
        ("mayAwait", truth("Whether to wait for those, at a risk")),
        ("currency", maybe_text("ISO 4217 code of the prices")),
        ("prices", list_of("PlanPrice").into()),
    ])
}

fn stretch() -> ObjectBuilder {
    const WHY: [&str; 5] = [
        "atOnce",
        "minimumLevel",
        "cheapestPrice",
        "deadline",
        "noPrice",
    ];
    let why = ArrayBuilder::new().items(text_enum("What makes it be then", &WHY));
    sent(vec![
        ("from", text("From when")),
        ("to", maybe_text("Until when; null if nobody knows")),
        (
            "kwh",
            maybe_text("Expected energy, kWh, as a decimal number"),
        ),
        ("level", maybe_number("Expected level at its end, %")),
        (
            "cost",
            maybe_text("What it costs, as a decimal number; null without a price"),
        ),
        ("why", why.into()),
    ])
}

fn plan() -> ObjectBuilder {
    let charge_now = ObjectBuilder::new()
        .description(Some("It charges at once, and why"))
        .property("chargeNow", text("Why there is no better"));
    let decision = utoipa::openapi::schema::OneOfBuilder::new()
        .item(text_enum("What is decided", &["full", "shift", "await"]))
        .item(charge_now);
    let stretches: RefOr<Schema> = ArrayBuilder::new()
        .items(Ref::from_schema_name("PlanStretch"))
        .into();
    sent(vec![
        ("decision", decision.into()),
        ("dueAt", maybe_text("The deadline")),
        ("charge", stretches),
        ("chargeSecs", maybe_number("How long it charges in all, s")),
        ("stopAt", maybe_text("When charging is stopped first")),
        ("startAt", maybe_text("When it is started again")),
        ("finishAt", maybe_text("When it will be full")),
        (
            "latestStartAt",
            maybe_text("When it must charge without a break to be full in time"),
        ),
        (
            "replanAt",
            maybe_text("When to plan again, since prices are expected"),
        ),
        ("currency", maybe_text("ISO 4217 code of what follows")),
        (
            "nonSmartCost",
            maybe_text("What charging at once costs, as a decimal number"),
        ),
        (
            "smartCost",
            maybe_text("What the plan costs, as a decimal number"),
        ),
        ("saving", maybe_text("What it saves, as a decimal number")),
    ])
}
