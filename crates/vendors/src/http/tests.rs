use bytes::Bytes;
use jiff::Timestamp;

use super::*;

fn now() -> Timestamp {
    "2026-03-02T06:00:00Z".parse().unwrap()
}

fn after(text: &str) -> Option<i64> {
    parse_retry_after(text, now()).map(|at| at.duration_since(now()).as_secs())
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    assert_eq!(after("120"), Some(120));
    assert_eq!(after(" 0 "), Some(0));
    assert_eq!(after("Mon, 02 Mar 2026 06:05:00 GMT"), Some(300));
    assert_eq!(after("Mon, 02 Mar 2026 05:00:00 GMT"), Some(0));
    assert_eq!(after("99999999999999999999999"), Some(24 * 3600));
    assert_eq!(after("9999999"), Some(24 * 3600));
    assert_eq!(after("soon"), None);
    assert_eq!(after(""), None);
    assert_eq!(after("-5"), None);
}

#[test]
fn addresses_keep_the_prefix_and_escape_identifiers() {
    let base: Url = "http://cloud.example/volta/".parse().unwrap();
    assert_eq!(
        address(&base, &["v1", "a/b?c"]).path(),
        "/volta/v1/a%2Fb%3Fc"
    );
    let bare: Url = "http://cloud.example".parse().unwrap();
    assert_eq!(address(&bare, &["v1"]).as_str(), "http://cloud.example/v1");
}

#[test]
fn errors_do_not_repeat_the_body() {
    let response = Response {
        status: 200,
        body: Bytes::from_static(b"{\"token\": \"vat_secret\", \"n\": \"vat_secret\"}"),
        retry_after: None,
        started_at: now(),
        received_at: now(),
        place: "cloud.example/v1".to_owned(),
        room: None,
    };
    let Err(AccountOutcome::Malformed(text)) = response.json::<Vec<u8>>() else {
        panic!("taken for a list")
    };
    assert!(!text.contains("vat_secret"), "{text}");
    assert!(!format!("{response:?}").contains("vat_secret"));
}
