//! The rows of schedules.

use axum::{
    http::Method,
    routing::{delete, get, post, put},
};

use super::{BAD_INPUT, Content, NO_CONTENT, NO_SCHEDULE, NO_SCOPE, NO_USER, Operation, PAGE, ok};
use crate::handlers::schedules;

pub(super) fn schedule_rows() -> Vec<Operation> {
    const ALL: &str = "/users/{userId}/schedules";
    const ONE: &str = "/schedules/{scheduleId}";
    vec![
        Operation::new(
            "getSchedules",
            Method::GET,
            ALL,
            "List schedules of a user",
            get(schedules::list),
        )
        .query(PAGE)
        .answers([ok("PaginatedScheduleList")]),
        Operation::new(
            "createSchedule",
            Method::POST,
            ALL,
            "Create a schedule for a vehicle, a charger or an HVAC unit",
            post(schedules::create),
        )
        .body(Content::Json("Schedule"))
        .answers([ok("ScheduleResponse"), BAD_INPUT, NO_SCOPE, NO_USER]),
        Operation::new(
            "getSchedule",
            Method::GET,
            ONE,
            "Get a schedule",
            get(schedules::get),
        )
        .answers([ok("ScheduleResponse"), NO_SCHEDULE]),
        Operation::new(
            "updateSchedule",
            Method::PUT,
            ONE,
            "Change a schedule in part",
            put(schedules::update),
        )
        .body(Content::Json("PartialSchedule"))
        .answers([ok("ScheduleResponse"), BAD_INPUT, NO_SCOPE, NO_SCHEDULE]),
        Operation::new(
            "deleteSchedule",
            Method::DELETE,
            ONE,
            "Delete a schedule",
            delete(schedules::delete),
        )
        .answers([NO_CONTENT, NO_SCHEDULE]),
        Operation::new(
            "getScheduleStatus",
            Method::GET,
            format!("{ONE}/status"),
            "How the device of a schedule stands to it",
            get(schedules::status),
        )
        .answers([ok("ScheduleStatus"), NO_SCHEDULE]),
    ]
}
