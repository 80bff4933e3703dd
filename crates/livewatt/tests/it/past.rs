//! Devices as they were: what was answered at a moment is answered about that moment later.

use std::collections::BTreeMap;

use livewatt_domain::{SignedDuration, Timestamp, kind::DeviceKind};
use livewatt_sandbox::{AccountSpec, Cloud};
use serde_json::Value;

use crate::support::{World, still, vendor};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// Without what moves while nothing is worth an event: how lately a device was heard of.
fn settled(mut device: Value) -> Value {
    fn forget(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|name, _| name != "lastSeen" && name != "lastUpdated");
                members.values_mut().for_each(forget);
            }
            Value::Array(items) => items.iter_mut().for_each(forget),
            _ => {}
        }
    }
    forget(&mut device);
    device
}

/// All devices of all kinds, by the list they are in: of the client, and of each user. As of a moment,
/// read in small pages.
async fn picture(world: &World, as_of: Option<Timestamp>) -> BTreeMap<String, Vec<Value>> {
    let as_of = as_of.map(|at| format!("&asOf={at}")).unwrap_or_default();
    let mut picture = BTreeMap::new();
    for of in ["", "/users/ann", "/users/bob"] {
        for kind in DeviceKind::ALL {
            let list = format!("{of}/{}", kind.plural());
            let (mut devices, mut after) = (Vec::new(), String::new());
            loop {
                let path = format!("{list}?pageSize=1{as_of}{after}");
                let answer = world.api.get(&path).await;
                assert!(!answer.headers.contains_key("livewatt-left-out-devices"));
                let page = answer.expect_status(200);
                devices.extend(
                    page["data"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .cloned()
                        .map(settled),
                );
                match page["pagination"]["after"].as_str() {
                    Some(cursor) => after = format!("&after={cursor}"),
                    None => break,
                }
            }
            picture.insert(list, devices);
        }
    }
    picture
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_at_a_moment_is_answered_about_it_later() {
    let world = World::new().await;
    world
        .link("ann", Cloud::Volta, AccountSpec::default())
        .await;
    world
        .link("ann", Cloud::Helios, AccountSpec::default())
        .await;
    world.step().await;
    let mut pictures = Vec::new();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..24 {
        // What happens in the moment of a picture, but after it, would be part of that moment.
        world.step().await;
        match round {
            8 => drop(
                world
                    .link("bob", Cloud::Rivoli, AccountSpec::default())
                    .await,
            ),
            16 => {
                let path = format!("/users/ann/vendors/{}", vendor(Cloud::Volta));
                world.api.delete(&path).await.expect_status(204);
            }
            _ => {}
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        world.advance(minutes(1 + (random % 50) as i64)).await;
        pictures.push((world.now(), picture(&world, None).await));
    }
    let changes = pictures.windows(2).filter(|two| two[0].1 != two[1].1);
    assert!(changes.count() > 12, "hardly anything happened");
    let count = |index: usize| -> usize { pictures[index].1.values().map(Vec::len).sum() };
    assert!(
        count(0) < count(8) && count(16) < count(15),
        "devices came and went"
    );
    for (at, picture_then) in &pictures {
        assert_eq!(
            picture(&world, Some(*at)).await,
            *picture_then,
            "as of {at}"
        );
    }
    // One by one, likewise.
    for (at, lists) in &pictures {
        for (list, devices) in lists.iter().filter(|(list, _)| !list.starts_with("/users")) {
            for device in devices {
                let path = format!("{list}/{}?asOf={at}", device["id"].as_str().unwrap());
                let answered = world.api.get(&path).await.expect_status(200);
                assert_eq!(settled(answered), *device, "{path}");
            }
        }
    }
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_of_which_nothing_is_known_are_refused() {
    let world = World::new().await;
    let begun = world.now();
    world.step().await;
    world.link("ann", Cloud::Volta, still()).await;
    world.advance(minutes(5)).await;
    let vehicle = world.api.all("vehicles").await.remove(0);
    let one = format!("/vehicles/{}", vehicle["id"].as_str().unwrap());
    for path in ["/vehicles", "/users/ann/vehicles", &one] {
        let later = world.now() + minutes(1);
        let long_ago = begun - SignedDuration::from_hours(24 * 31);
        for moment in [later.to_string(), long_ago.to_string(), "noon".to_owned()] {
            let answer = world.api.get(&format!("{path}?asOf={moment}")).await;
            assert_eq!(answer.expect_issues(), ["asOf"], "{path} {moment}");
        }
        let twice = format!("{path}?asOf={begun}&asOf={begun}");
        assert_eq!(world.api.get(&twice).await.expect_issues(), ["asOf"]);
    }
    let before = world.api.get(&format!("{one}?asOf={begun}")).await;
    before.expect_status(404);
    let none = world.api.get(&format!("/vehicles?asOf={begun}")).await;
    assert_eq!(none.expect_status(200)["data"], Value::Array(Vec::new()));
    let as_a_meter = one.replace("/vehicles/", "/meters/");
    let now = world.now();
    let wrong_kind = world.api.get(&format!("{as_a_meter}?asOf={now}")).await;
    wrong_kind.expect_status(404);
    let stranger = world.other_client(None).await;
    let foreign = stranger.get(&format!("{one}?asOf={now}")).await;
    foreign.expect_status(404);

    let path = format!("/users/ann/vendors/{}", vendor(Cloud::Volta));
    world.step().await;
    world.api.delete(&path).await.expect_status(204);
    let gone = world.now();
    world.step().await;
    for (at, status) in [(now, 200), (gone, 404), (world.now(), 404)] {
        let answer = world.api.get(&format!("{one}?asOf={at}")).await;
        answer.expect_status(status);
    }
    world.api.delete("/users/ann").await.expect_status(204);
    let erased = world.api.get(&format!("{one}?asOf={now}")).await;
    erased.expect_status(404);
    world.shut_down().await;
}
