//! The catalogue, as customers look it up.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::World;

fn ids(list: &Value) -> BTreeSet<String> {
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_looked_up_by_language_vendor_and_kind() {
    let world = World::new().await;
    let list = async |query: &str| {
        let answer = world.api.get(&format!("/interventions{query}")).await;
        answer.expect_status(200)
    };
    let all = list("").await;
    let entries = all.as_array().unwrap();
    assert_eq!(ids(&all).len(), entries.len());
    for entry in entries {
        let tied = ["vendor", "vendorType", "brand"].map(|key| entry[key].is_null());
        assert!(tied == [true; 3] || tied == [false; 3], "{entry}");
    }
    // In the language asked for, else in English.
    for (language, is_english) in [
        ("en-US", true),
        ("en-GB", true),
        ("de-DE", false),
        ("nb-NO", false),
        ("fr-FR", true),
        ("tlh", true),
    ] {
        let told = list(&format!("?language={language}")).await;
        assert_eq!(ids(&told), ids(&all));
        assert_eq!(told == all, is_english, "{language}");
        let first = entries[0]["id"].as_str().unwrap();
        let alone = list(&format!("/{first}?language={language}")).await;
        assert_eq!(alone, told[0], "{language}");
    }
    // What is not tied to a vendor can be about anybody's.
    let of = |entry: &&Value, vendor: Option<&str>, kind: Option<&str>| {
        let is = |key: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| entry[key] == wanted);
        entry["vendor"].is_null() || (is("vendor", vendor) && is("vendorType", kind))
    };
    for (query, vendor, kind) in [
        ("?vendor=TESLA", Some("TESLA"), None),
        ("?vendorType=battery", None, Some("battery")),
        (
            "?vendor=TESLA&vendorType=charger",
            Some("TESLA"),
            Some("charger"),
        ),
        ("?vendor=BMW", Some("BMW"), None),
    ] {
        let wanted = entries.iter().filter(|entry| of(entry, vendor, kind));
        let wanted: Vec<Value> = wanted.cloned().collect();
        assert!(!wanted.is_empty() && wanted.len() < entries.len());
        assert_eq!(list(query).await, Value::Array(wanted), "{query}");
    }
    let refused = async |path: &str| world.api.get(path).await;
    assert_eq!(
        refused("/interventions?vendor=ACME").await.expect_issues(),
        ["vendor"]
    );
    let wrong = refused("/interventions?vendorType=boat").await;
    assert_eq!(wrong.expect_issues(), ["vendorType"]);
    for unknown in ["nothing", "01900000-0000-7000-8000-000000000000"] {
        refused(&format!("/interventions/{unknown}"))
            .await
            .expect_status(404);
    }
    let is_teslas = |entry: &&Value| entry["vendor"] == "TESLA";
    let teslas = entries.iter().find(is_teslas).unwrap()["id"]
        .as_str()
        .unwrap();
    let other = format!("/interventions/{teslas}?vendor=RENAULT");
    refused(&other).await.expect_status(404);
    world.shut_down().await;
}
