//! Schedules: what devices are to do by the clock.

use axum::{Json, extract::State, http::StatusCode};
use livewatt_domain::{
    Timestamp,
    id::{DeviceId, ScheduleId},
    schedule::{HourMinute, Program, Schedule, ScheduleStatus},
    temperature::TemperatureTarget,
    time,
};
use livewatt_engine::{
    Issue,
    schedules::{RuleInput, ScheduleInput},
};
use serde::Serialize;
use serde_json::Value;

use super::actions::read_hold;
use crate::{
    error::ApiResult,
    extract::{Caller, Fields, FromField, JsonBody, Nested, PathArg, Payload, user_arg},
    pagination::{PageArgs, Paginated},
    state::ApiState,
};

/// A schedule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScheduleResponse {
    id: ScheduleId,
    target_id: DeviceId,
    is_enabled: bool,
    #[serde(flatten)]
    program: Program,
}

impl From<Schedule> for ScheduleResponse {
    fn from(schedule: Schedule) -> Self {
        Self {
            id: schedule.id,
            target_id: schedule.target_id,
            is_enabled: schedule.is_enabled,
            program: schedule.program,
        }
    }
}

/// The body of a creation or of a change: which fields must be there depends on the kind of device and
/// on what there was before.
#[derive(Debug)]
pub(crate) struct Input(ScheduleInput);

impl Payload for Input {
    fn read(fields: &mut Fields) -> Option<Self> {
        let rules: Option<Vec<Nested<Rule>>> = fields.optional("rules");
        Some(Self(ScheduleInput {
            target_type: fields.optional("targetType"),
            target_id: fields.optional("targetId"),
            is_enabled: fields.optional("isEnabled"),
            location_id: fields.nullable("locationId"),
            default_should_charge: fields.optional("defaultShouldCharge"),
            default_target_state: fields
                .optional::<Nested<TargetState>>("defaultTargetState")
                .map(|Nested(TargetState(target))| target),
            rules: rules.map(|rules| rules.into_iter().map(|Nested(Rule(rule))| rule).collect()),
        }))
    }
}

/// A rule.
#[derive(Debug)]
struct Rule(RuleInput);

impl Payload for Rule {
    fn read(fields: &mut Fields) -> Option<Self> {
        let days: Option<Vec<Day>> = fields.optional("weekdays");
        Some(Self(RuleInput {
            hour_minute: fields
                .optional::<Nested<Window>>("hourMinute")
                .map(|Nested(Window(window))| window),
            from: fields.optional::<Moment>("fromTimestamp").map(|at| at.0),
            to: fields.optional::<Moment>("toTimestamp").map(|at| at.0),
            weekdays: days.map(|days| days.into_iter().map(|day| day.0).collect()),
            should_charge: fields.optional("shouldCharge"),
            target_state: fields
                .optional::<Nested<TargetState>>("targetState")
                .map(|Nested(TargetState(target))| target),
        }))
    }
}

/// A window of each day.
#[derive(Debug)]
struct Window(HourMinute);

impl Payload for Window {
    fn read(fields: &mut Fields) -> Option<Self> {
        let (from, to) = (fields.required("from"), fields.required("to"));
        Some(Self(HourMinute {
            from: from?,
            to: to?,
        }))
    }
}

/// A day of the week.
#[derive(Debug)]
struct Day(u8);

impl FromField for Day {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let day = value.as_u64().and_then(|day| u8::try_from(day).ok());
        let day = day.filter(|day| *day <= 6);
        if day.is_none() {
            issues.push(Issue::new(path, "must be 0 (Monday) to 6"));
        }
        day.map(Self)
    }
}

/// A moment.
#[derive(Debug)]
struct Moment(Timestamp);

impl FromField for Moment {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = value.as_str().and_then(time::read);
        if read.is_none() {
            let message = "must be a moment like 2026-03-02T06:00:00.000Z";
            issues.push(Issue::new(path, message));
        }
        read.map(time::to_millisecond).map(Self)
    }
}

/// What an HVAC unit is to be set to.
#[derive(Debug)]
struct TargetState(TemperatureTarget);

/// How long a setting holds.
#[derive(Debug, Clone, Copy)]
enum HoldType {
    Scheduled,
    Permanent,
}

impl FromField for HoldType {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        match value.as_str() {
            Some("SCHEDULED") => Some(Self::Scheduled),
            Some("PERMANENT") => Some(Self::Permanent),
            _ => {
                issues.push(Issue::new(path, "must be SCHEDULED or PERMANENT"));
                None
            }
        }
    }
}

impl Payload for TargetState {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self(match fields.required("holdType")? {
            HoldType::Scheduled => TemperatureTarget::Scheduled {},
            HoldType::Permanent => TemperatureTarget::Permanent(read_hold(fields)?),
        }))
    }
}

/// `GET /users/{userId}/schedules`; a user nobody knows has none.
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    page: PageArgs,
) -> ApiResult<Json<Paginated<ScheduleResponse>>> {
    let user = user_arg(user)?;
    let page = page.by_id()?;
    let schedules = state.engine().list_schedules(caller.client_id, user, page);
    Ok(Json(Paginated::from(
        schedules.await?.map(ScheduleResponse::from),
    )))
}

/// `POST /users/{userId}/schedules`
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    JsonBody(Input(input)): JsonBody<Input>,
) -> ApiResult<Json<ScheduleResponse>> {
    let user = user_arg(user)?;
    let client = caller.client_id;
    let made = state
        .to_the_end(|engine| async move { engine.create_schedule(client, &user, input).await })
        .await?;
    Ok(Json(made.into()))
}

/// `GET /schedules/{scheduleId}`
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<ScheduleResponse>> {
    let schedule = state.engine().get_schedule(caller.client_id, &id).await?;
    Ok(Json(schedule.into()))
}

/// `PUT /schedules/{scheduleId}`
pub(crate) async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    JsonBody(Input(input)): JsonBody<Input>,
) -> ApiResult<Json<ScheduleResponse>> {
    let client = caller.client_id;
    let schedule = state
        .to_the_end(|engine| async move { engine.update_schedule(client, &id, input).await })
        .await?;
    Ok(Json(schedule.into()))
}

/// `DELETE /schedules/{scheduleId}`
pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<StatusCode> {
    let client = caller.client_id;
    state
        .to_the_end(|engine| async move { engine.delete_schedule(client, &id).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /schedules/{scheduleId}/status`
pub(crate) async fn status(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<ScheduleStatus>> {
    let status = state.engine().get_schedule_status(caller.client_id, &id);
    Ok(Json(status.await?))
}
