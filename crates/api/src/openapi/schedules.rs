//! The schemas of schedules, and of how devices stand to them.

use livewatt_domain::{
    schedule::{ChargeParts, ChargeTransition, MOST_RULES, MOST_TRANSITIONS, ScheduleState},
    smart::SmartOverride,
};
use serde_json::json;
use utoipa::openapi::{
    RefOr,
    schema::{
        AdditionalProperties, AnyOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder,
        Schema, SchemaFormat, Type,
    },
};

use super::{
    Schemas,
    freshness::{maybe, of, text, truth},
    list_of, nullable, page_of, plain, sent, text_enum,
};

type Properties = Vec<(&'static str, RefOr<Schema>)>;

pub(super) fn add(schemas: Schemas) -> Schemas {
    schemas
        .add::<ScheduleState>()
        .add_sent::<SmartOverride>()
        .add_sent::<ChargeParts>()
        .add_sent::<ChargeTransition>()
        .with("Schedule", either("ChargeSchedule", "TemperatureSchedule"))
        .with(
            "PartialSchedule",
            either("PartialChargeSchedule", "PartialTemperatureSchedule"),
        )
        .with(
            "ScheduleResponse",
            either("ChargeScheduleResponse", "TemperatureScheduleResponse"),
        )
        .with(
            "ScheduleStatus",
            either("ChargeScheduleStatus", "TemperatureScheduleStatus"),
        )
        .with("PaginatedScheduleList", page_of("ScheduleResponse"))
        .with("ChargeSchedule", charge_input(true).examples([charging()]))
        .with(
            "PartialChargeSchedule",
            charge_input(false).examples([json!({ "isEnabled": false })]),
        )
        .with("ChargeScheduleResponse", charge_response())
        .with("ChargeScheduleRule", {
            let payload = ("shouldCharge", truth("Whether it should charge then"));
            rule(payload)
        })
        .with(
            "TemperatureSchedule",
            temperature_input(true).examples([heating()]),
        )
        .with(
            "PartialTemperatureSchedule",
            temperature_input(false).examples([json!({ "isEnabled": false })]),
        )
        .with("TemperatureScheduleResponse", temperature_response())
        .with("TemperatureScheduleRule", {
            rule(("targetState", of("TemperatureTargetState")))
        })
        .with("ScheduleWindow", window())
        .with(
            "TemperatureTargetState",
            OneOfBuilder::new()
                .item(of("PermanentHoldTargetState"))
                .item(of("ScheduledTargetState")),
        )
        .with("ChargeScheduleStatus", charge_status())
        .with("TemperatureScheduleStatus", temperature_status())
}

fn charging() -> serde_json::Value {
    json!({
        "targetType": "vehicle",
        "targetId": "f2a1c1de-6a1f-4d2e-9d0b-6a1f4d2e9d0b",
        "locationId": "0192f6a6-9ed0-7b3f-8a6e-2f6d1b1f1c55",
        "isEnabled": true,
        "defaultShouldCharge": false,
        "rules": [
            { "hourMinute": { "from": "23:00", "to": "06:00" }, "shouldCharge": true },
            { "weekdays": [5, 6], "shouldCharge": true },
        ],
    })
}

fn heating() -> serde_json::Value {
    json!({
        "targetType": "hvac",
        "targetId": "f2a1c1de-6a1f-4d2e-9d0b-6a1f4d2e9d0b",
        "isEnabled": true,
        "defaultTargetState": { "holdType": "SCHEDULED" },
        "rules": [{
            "hourMinute": { "from": "08:00", "to": "16:00" },
            "weekdays": [0, 1, 2, 3, 4],
            "targetState": { "holdType": "PERMANENT", "mode": "HEAT", "heatSetpoint": 18 },
        }],
    })
}

fn either(one: &str, other: &str) -> AnyOfBuilder {
    AnyOfBuilder::new().item(of(one)).item(of(other))
}

/// An object with just these keys, of which the first ones must be there.
fn closed(required: Properties, optional: Properties) -> ObjectBuilder {
    let object = optional
        .into_iter()
        .fold(sent(required), |object, (name, schema)| {
            object.property(name, schema)
        });
    object.additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn target_id() -> (&'static str, RefOr<Schema>) {
    ("targetId", text("The device"))
}

fn is_enabled() -> (&'static str, RefOr<Schema>) {
    ("isEnabled", truth("Whether it acts at all; true if absent"))
}

fn rules(of_these: &str, description: &str) -> (&'static str, RefOr<Schema>) {
    let rules = list_of(of_these)
        .max_items(Some(MOST_RULES))
        .description(Some(description));
    ("rules", rules.into())
}

const RULES: &str = "Of those that hold at a moment, the last one counts";

fn charge_fields() -> Properties {
    let place = nullable(
        Type::String,
        "It acts only while the device is at this Location. Null: one of a charger always acts, by \
         UTC; one of a vehicle never does",
    );
    let place = place.format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    vec![
        (
            "targetType",
            text_enum("The kind of device", &["vehicle", "charger"]),
        ),
        target_id(),
        ("locationId", place.into()),
        (
            "defaultShouldCharge",
            truth("Whether to charge where no rule holds"),
        ),
        rules("ChargeScheduleRule", RULES),
    ]
}

fn temperature_fields() -> Properties {
    vec![
        ("targetType", text_enum("The kind of device", &["hvac"])),
        target_id(),
        ("defaultTargetState", of("TemperatureTargetState")),
        rules("TemperatureScheduleRule", RULES),
    ]
}

fn input(mut fields: Properties, is_whole: bool) -> ObjectBuilder {
    match is_whole {
        true => closed(fields, vec![is_enabled()]),
        false => {
            fields.push(is_enabled());
            closed(Vec::new(), fields)
        }
    }
}

fn charge_input(is_whole: bool) -> ObjectBuilder {
    input(charge_fields(), is_whole)
}

fn temperature_input(is_whole: bool) -> ObjectBuilder {
    input(temperature_fields(), is_whole)
}

fn response(fields: Properties) -> ObjectBuilder {
    let mut all = vec![("id", text("Identifier")), is_enabled()];
    all.extend(fields);
    sent(all)
}

fn charge_response() -> ObjectBuilder {
    response(charge_fields())
}

fn temperature_response() -> ObjectBuilder {
    response(temperature_fields())
}

fn rule(payload: (&'static str, RefOr<Schema>)) -> ObjectBuilder {
    let moment = |description| {
        let moment = plain(Type::String, description);
        moment.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
    };
    let day = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(6));
    let days = ArrayBuilder::new()
        .items(day)
        .description(Some("On these days, 0 (Monday) to 6"));
    closed(
        vec![payload],
        vec![
            ("hourMinute", of("ScheduleWindow")),
            ("fromTimestamp", moment("From then on").into()),
            ("toTimestamp", moment("Before then").into()),
            ("weekdays", days.into()),
        ],
    )
}

fn window() -> ObjectBuilder {
    let time = |description| {
        plain(Type::String, description)
            .pattern(Some(r"^(((?:[01]\d|2[0-3]):[0-5]\d)|24:00)$"))
            .examples(["22:00"])
    };
    closed(
        vec![
            ("from", time("The beginning, inclusive").into()),
            (
                "to",
                time("The end, exclusive; on the next day if not after the beginning").into(),
            ),
        ],
        vec![],
    )
}

fn status_head(kind: &str) -> Properties {
    vec![
        ("scheduleId", text("The schedule")),
        ("scheduleType", text_enum("What it is about", &[kind])),
        ("changedAt", text("When anything of this last changed")),
        ("state", of("ScheduleState")),
    ]
}

fn charge_status() -> ObjectBuilder {
    let mut properties = status_head("CHARGE");
    properties.extend([
        ("isCharging", truth("Whether it charges")),
        (
            "isChargingExpected",
            truth("Whether it is expected to: all parts are so"),
        ),
        ("isChargingExpectedParts", of("ChargeParts")),
        ("upcomingTransitions", upcoming(of("ChargeTransition"))),
        ("smartOverride", maybe("SmartOverrideStatus")),
    ]);
    sent(properties)
}

fn temperature_status() -> ObjectBuilder {
    let current = OneOfBuilder::new()
        .item(of("TemperatureTargetState"))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .description(Some("What the unit is set to; null if not known"));
    let transition = sent(vec![
        ("at", text("From when on")),
        ("target", of("TemperatureTargetState")),
    ]);
    let mut properties = status_head("TEMPERATURE");
    properties.extend([
        ("current", current.into()),
        ("expected", of("TemperatureTargetState")),
        ("upcomingTransitions", upcoming(transition.into())),
    ]);
    sent(properties)
}

fn upcoming(transition: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new()
        .items(transition)
        .max_items(Some(MOST_TRANSITIONS))
        .description(Some("The next changes of what is wanted, at most two"))
        .into()
}
