//! What a policy may be.

use super::*;

const fn situation(device: &Device) -> PolicySituation<'_> {
    PolicySituation {
        device,
        floor: Some(50.0),
        has_prices: true,
        is_taken: false,
    }
}

#[test]
fn what_a_policy_cannot_be_is_refused() {
    let mut device = vehicle();
    device
        .document
        .set_path("chargeState.chargeLimit", json!(80));
    let enable = PolicyChange {
        is_enabled: Some(true),
        ..PolicyChange::default()
    };
    let full = PolicyChange {
        deadline: Some("07:00".parse().ok()),
        minimum_charge_limit: Some(50.0),
        ..enable
    };
    let off = Policy::default();
    let field = |result: Result<Policy, PolicyRefusal>| result.unwrap_err().field();
    assert_eq!(
        off.change(enable, &situation(&device)),
        Err(PolicyRefusal::NoDeadline)
    );
    let on = off.change(full, &situation(&device)).unwrap();
    assert!(on.is_enabled);
    for (minimum, blamed) in [
        (-1.0, PolicyRefusal::Minimum),
        (100.1, PolicyRefusal::Minimum),
        (f64::NAN, PolicyRefusal::Minimum),
        (80.1, PolicyRefusal::AboveLimit { limit: 80.0 }),
        (49.9, PolicyRefusal::BelowFloor { floor: 50.0 }),
    ] {
        let change = PolicyChange {
            minimum_charge_limit: Some(minimum),
            ..PolicyChange::default()
        };
        let refusal = on.change(change, &situation(&device)).unwrap_err();
        assert_eq!(refusal, blamed);
        assert_eq!(refusal.field(), "minimumChargeLimit");
    }
    let taken = PolicySituation {
        is_taken: true,
        ..situation(&device)
    };
    assert_eq!(off.change(full, &taken), Err(PolicyRefusal::Taken));
    let unpriced = PolicySituation {
        has_prices: false,
        ..situation(&device)
    };
    assert_eq!(field(off.change(full, &unpriced)), "isEnabled");
    // One that is enabled already may be changed even so.
    let later = PolicyChange {
        deadline: Some("08:00".parse().ok()),
        ..PolicyChange::default()
    };
    assert!(on.change(later, &unpriced).unwrap().is_enabled);
    // Clearing the deadline disables; disabling asks nothing.
    let cleared = PolicyChange {
        deadline: Some(None),
        ..PolicyChange::default()
    };
    assert!(!on.change(cleared, &unpriced).unwrap().is_enabled);
    let cleared_but_enabled = PolicyChange {
        is_enabled: Some(true),
        ..cleared
    };
    assert_eq!(
        on.change(cleared_but_enabled, &situation(&device)),
        Err(PolicyRefusal::NoDeadline)
    );
    for name in ["smartCharging", "startCharging", "stopCharging"] {
        let mut unable = device.clone();
        unable
            .document
            .set_path(&format!("capabilities.{name}.isCapable"), json!(false));
        let refusal = off.change(full, &situation(&unable)).unwrap_err();
        assert!(
            matches!(refusal, PolicyRefusal::NotCapable { capability, .. } if capability.ends_with(name))
        );
    }
}

#[test]
fn smart_charging_is_printed_as_the_contract_does() {
    let device = vehicle();
    let now = at("2026-06-01T18:00Z");
    let mut smart = Smart::new(now);
    let disabled = json!({
        "updatedAt": "2026-06-01T18:00:00.000Z",
        "vehicleId": VEHICLE,
        "userId": "user",
        "vendor": "ACME",
        "state": "DISABLED",
        "stateChangedAt": "2026-06-01T18:00:00.000Z",
        "consideration": null,
        "plan": null,
        "smartOverride": null,
    });
    assert_eq!(
        serde_json::to_value(smart.document(&device)).unwrap(),
        disabled
    );
    smart.policy = enabled();
    let seen = Seen {
        power: Power::Charging,
        location_id: Some(PLACE),
        ..Seen::of(&device, Some(PLACE), true)
    };
    smart.step(
        VEHICLE,
        &seen,
        Some(inputs(20.0)),
        PlanId(Uuid::from_u128(5)),
        now,
    );
    let plan = json!({
        "id": "00000000-0000-0000-0000-000000000005",
        "vehicleId": VEHICLE,
        "userId": "user",
        "locationId": PLACE,
        "vendor": "ACME",
        "currency": "EUR",
        "nonSmartCost": 14.0,
        "smartCost": 4.0,
        "stopAt": "2026-06-01T18:00:00.000Z",
        "startAt": "2026-06-02T01:00:00.000Z",
        "estimatedFinishAt": "2026-06-02T05:00:00.000Z",
        "stopConfirmedAt": null,
        "startConfirmedAt": null,
        "endedAt": null,
        "finalState": null,
        "failureCondition": null,
    });
    let printed = serde_json::to_value(smart.document(&device)).unwrap();
    assert_eq!(printed["state"], json!("PLAN:EXECUTING:STOPPING"));
    assert_eq!(printed["plan"], plan);
    let stored = serde_json::to_string(&smart).unwrap();
    assert_eq!(serde_json::from_str::<Smart>(&stored).unwrap(), smart);
}
