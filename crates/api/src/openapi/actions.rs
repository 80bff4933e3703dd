//! The schemas of actions, and of what devices can be told.

use livewatt_domain::action::{ActionState, ChargingKind, FailureReason};
use utoipa::openapi::{
    Ref, RefOr,
    schema::{AdditionalProperties, AnyOfBuilder, ObjectBuilder, OneOfBuilder, Schema},
};

use super::{
    Schemas,
    freshness::{maybe, maybe_text, number, of, text},
    sent, text_enum,
};

type Properties = Vec<(&'static str, RefOr<Schema>)>;

/// What a battery can be told to pursue.
const MODES: [&str; 5] = [
    "IMPORT_FOCUS",
    "EXPORT_FOCUS",
    "TIME_OF_USE",
    "SELF_RELIANCE",
    "IDLE",
];

pub(super) fn add(schemas: Schemas) -> Schemas {
    schemas
        .add::<ActionState>()
        .add::<ChargingKind>()
        .add::<FailureReason>()
        .with("ChargeAction", charge())
        .with("MaxCurrentAction", max_current())
        .with("HvacActionPermanentHold", hvac("PermanentHoldTargetState"))
        .with("HvacActionFollowSchedule", hvac("ScheduledTargetState"))
        .with("OperationModeAction", operation_mode(of("ActionState")))
        .with(
            "OperationModeActionResolved",
            operation_mode(text_enum(
                "How far it came",
                &["CONFIRMED", "FAILED", "CANCELLED"],
            )),
        )
        .with("VehicleAction", any(&["ChargeAction", "MaxCurrentAction"]))
        .with("ChargerAction", any(&["ChargeAction", "MaxCurrentAction"]))
        .with(
            "HvacAction",
            any(&["HvacActionPermanentHold", "HvacActionFollowSchedule"]),
        )
        .with(
            "ControlChargingPayload",
            closed(vec![("action", of("ChargingKind"))]),
        )
        .with("TargetMaxCurrent", target_max_current())
        .with(
            "SetBatteryOperationModePayload",
            closed(vec![("operationMode", text_enum("The aim", &MODES))]),
        )
        .with("HVACSetPermanentHoldPayload", holds(None))
        .with("PermanentHoldTargetState", holds(Some("PERMANENT")))
        .with(
            "ScheduledTargetState",
            closed(vec![(
                "holdType",
                text_enum("The program at the vendor is followed", &["SCHEDULED"]),
            )]),
        )
}

/// What all actions tell.
fn head(state: RefOr<Schema>) -> Properties {
    vec![
        ("id", text("Identifier")),
        ("userId", text("Whose device it is")),
        ("createdAt", text("When it was made")),
        ("updatedAt", text("When it last changed")),
        (
            "completedAt",
            maybe_text("When it left PENDING; null until then"),
        ),
        ("state", state),
        ("targetId", text("The device")),
        ("targetType", of("DeviceKind")),
        ("failureReason", maybe("FailureReason")),
    ]
}

fn charge() -> ObjectBuilder {
    let mut properties = head(of("ActionState"));
    properties.push(("kind", of("ChargingKind")));
    sent(properties)
}

fn max_current() -> ObjectBuilder {
    let mut properties = head(of("ActionState"));
    properties.push(("targetState", of("TargetMaxCurrent")));
    sent(properties)
}

fn hvac(target: &str) -> ObjectBuilder {
    let mut properties = head(of("ActionState"));
    properties.push(("target", of(target)));
    sent(properties)
}

fn operation_mode(state: RefOr<Schema>) -> ObjectBuilder {
    let mut properties = head(state);
    properties.push(("targetState", of("SetBatteryOperationModePayload")));
    sent(properties)
}

fn any(schemas: &[&str]) -> AnyOfBuilder {
    schemas.iter().fold(AnyOfBuilder::new(), |either, schema| {
        either.item(Ref::from_schema_name(*schema))
    })
}

/// An object with just these keys.
fn closed(properties: Properties) -> ObjectBuilder {
    sent(properties).additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn target_max_current() -> ObjectBuilder {
    let amps = ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::Number)
        .description(Some("The highest current, A"))
        .exclusive_minimum(Some(0.0));
    closed(vec![("maxCurrent", amps.into())])
}

/// The settings of an HVAC unit, each with the setpoints that its mode has.
fn holds(hold_type: Option<&'static str>) -> OneOfBuilder {
    let heat = ("heatSetpoint", number("Heat when colder, °C"));
    let cool = (
        "coolSetpoint",
        number("Cool when warmer, °C; above the other"),
    );
    let hold = |mode: &str, setpoints: Properties| {
        let mut properties = vec![("mode", text_enum("Mode", &[mode]))];
        properties.extend(setpoints);
        properties.extend(hold_type.map(|hold_type| {
            (
                "holdType",
                text_enum("It stays until it is changed", &[hold_type]),
            )
        }));
        closed(properties)
    };
    OneOfBuilder::new()
        .item(hold("OFF", vec![]))
        .item(hold("HEAT", vec![heat.clone()]))
        .item(hold("COOL", vec![cool.clone()]))
        .item(hold("AUTO", vec![heat, cool]))
}
