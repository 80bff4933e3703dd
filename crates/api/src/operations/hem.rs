//! The rows of HEM systems.

use axum::{http::Method, routing::get};

use super::{Answer, Content, INTERVAL, NO_HEM_SYSTEM, Operation, PAGE, ok};
use crate::handlers::hem;

pub(super) fn hem_rows() -> Vec<Operation> {
    const ONE: &str = "/hem-systems/{hemSystemId}";
    let told_as_problem = |status, summary| Answer {
        status,
        summary,
        content: Content::Problem,
    };
    vec![
        Operation::new(
            "listHems",
            Method::GET,
            "/hem-systems",
            "List HEM systems",
            get(hem::list),
        )
        .also_at("/hem-systems/")
        .query(PAGE)
        .answers([ok("PaginatedHEMSystemList")]),
        Operation::new(
            "listHemsForUser",
            Method::GET,
            "/users/{userId}/hem-systems",
            "List HEM systems of a user",
            get(hem::list_of_user),
        )
        .query(PAGE)
        .answers([ok("PaginatedHEMSystemList")]),
        Operation::new(
            "getHemsById",
            Method::GET,
            ONE,
            "Get a HEM system",
            get(hem::get),
        )
        .answers([ok("HEMSystem"), NO_HEM_SYSTEM]),
        Operation::new(
            "getHemsStatistics",
            Method::GET,
            format!("{ONE}/statistics"),
            "What flowed at a HEM system in a day by the quarter hour, or in a month by the day",
            get(hem::statistics),
        )
        .query(INTERVAL)
        .answers([
            ok("HEMSystemStatistics"),
            told_as_problem(400, "The interval is not valid, or before the installation"),
            told_as_problem(404, "HEM system not found"),
            told_as_problem(422, "The vendor has no statistics of the interval"),
            told_as_problem(503, "The vendor does not answer; see Retry-After"),
        ]),
    ]
}
