//! Linking a charge point.

use livewatt_domain::{entropy::SeededEntropy, kind::DeviceKind};
use url::Url;

use crate::{
    link::LinkOutcome,
    manifest::ReadShape,
    ocpp::{Ocpp, begin, password_matches, server_address},
    secret::Secret,
    vendor::Vendor as _,
};

#[test]
fn the_user_is_told_what_to_enter() {
    let entropy = SeededEntropy::new(3);
    let url = Url::parse("https://energy.example/base/").unwrap();
    let Ok(LinkOutcome::Instructions { account, rows }) = begin(&url, &entropy, None) else {
        panic!("instructions expected");
    };
    let labels = rows.iter().map(|(label, _)| *label).collect::<Vec<_>>();
    assert_eq!(
        labels,
        ["Server address (URL)", "Charge point ID", "Password"]
    );
    assert_eq!(rows[0].1, "wss://energy.example/base/ocpp");
    let id = &rows[1].1;
    assert_eq!(*id, account.vendor_account_id);
    assert_eq!(id.len(), "LW-7K3M-9QXD".len());
    assert!(id.starts_with("LW-"));
    let password = &rows[2].1;
    assert!((16..=20).contains(&password.len()));
    for word in [&id[3..7], &id[8..], password] {
        assert!(
            word.bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        );
        assert!(!word.contains(['0', 'O', '1', 'I']));
    }
    assert!(!account.credentials.reveal().contains(password.as_str()));
    assert!(password_matches(&account.credentials, password));
    assert!(!password_matches(&account.credentials, &password[1..]));
    assert!(!password_matches(&account.credentials, ""));

    let Ok(LinkOutcome::Instructions { account: other, .. }) = begin(&url, &entropy, None) else {
        panic!("instructions expected");
    };
    assert_ne!(other.vendor_account_id, account.vendor_account_id);
    assert!(!password_matches(&other.credentials, password));
}

#[test]
fn broken_credentials_match_nothing() {
    for text in [
        "",
        "{}",
        r#"{"passwordSha256":""}"#,
        r#"{"passwordSha256":"zz"}"#,
    ] {
        assert!(
            !password_matches(&Secret::new(text.to_owned()), ""),
            "{text}"
        );
    }
}

#[test]
fn the_address_follows_the_public_one() {
    let address = |text: &str| server_address(&Url::parse(text).unwrap());
    assert_eq!(
        address("http://10.0.0.2:8080").as_deref(),
        Some("ws://10.0.0.2:8080/ocpp")
    );
    assert_eq!(
        address("https://a.example/?x#y").as_deref(),
        Some("wss://a.example/ocpp")
    );
    assert_eq!(address("ftp://a.example"), None);
}

#[test]
fn the_manifest_is_one_of_a_push_only_vendor() {
    let manifest = Ocpp.manifest();
    assert_eq!(manifest.id, "ocpp");
    assert_eq!(manifest.reads, ReadShape::PushOnly);
    assert!(manifest.is_one_brand_per_account);
    assert_eq!(manifest.brand("EASEE").unwrap().display_name, "Easee");
    assert!(
        manifest
            .brands
            .iter()
            .all(|brand| brand.kinds == [DeviceKind::Charger])
    );
    assert_eq!(Ocpp.calls_per_read(3), 0);
}
