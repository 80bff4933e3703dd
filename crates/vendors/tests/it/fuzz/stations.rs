//! Frames of charge points, through a session.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::entropy::SeededEntropy;
use livewatt_vendors::ocpp::Session;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use super::{
    check::{check_drift, check_observations},
    mutate::{Broken, broken},
    run,
};

/// A charge point's day, in its own words.
const FRAMES: [&str; 9] = [
    r#"[2,"1","BootNotification",{"chargePointVendor":"Keba","chargePointModel":"P30","chargePointSerialNumber":"K-17","firmwareVersion":"1.17"}]"#,
    r#"[2,"2","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging","timestamp":"2026-03-02T18:20:10Z"}]"#,
    r#"[2,"3","StatusNotification",{"connectorId":0,"errorCode":"NoError","status":"Available"}]"#,
    r#"[2,"4","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":123456,"timestamp":"2026-03-02T18:20:10Z"}]"#,
    r#"[2,"5","MeterValues",{"connectorId":1,"transactionId":7,"meterValue":[{"timestamp":"2026-03-02T18:20:10Z","sampledValue":[{"value":"7.4","unit":"kW","measurand":"Power.Active.Import"},{"value":"16.1","unit":"A","measurand":"Current.Import","phase":"L1"},{"value":"124000","unit":"Wh"}]}]}]"#,
    r#"[2,"6","StopTransaction",{"transactionId":7,"meterStop":130000,"timestamp":"2026-03-02T19:20:10Z","reason":"EVDisconnected","transactionData":[{"timestamp":"2026-03-02T19:20:10Z","sampledValue":[{"value":"0"}]}]}]"#,
    r#"[2,"7","Heartbeat",{}]"#,
    r#"[3,"0123456789abcdef",{"status":"Accepted"}]"#,
    r#"[4,"0123456789abcdef","NotImplemented","no",{}]"#,
];

/// A session, some time on.
pub(super) fn session() -> (Session, Timestamp) {
    let now = "2026-03-02T18:20:14Z".parse().unwrap();
    let mut session = Session::new("LW-7K3M-9QXD", None, Arc::new(SeededEntropy::new(7)));
    session.opened(now);
    (session, now)
}

/// Plays frames, a second apart, and looks at what the session made of them.
pub(super) fn play<'a>(frames: impl IntoIterator<Item = &'a [u8]>) {
    let (mut session, mut now) = session();
    for frame in frames {
        now += SignedDuration::from_secs(1);
        // A socket hands over text only.
        let step = session.receive(&String::from_utf8_lossy(frame), now);
        check_observations(&step.observations, now);
        check_drift(&step.drift);
        assert!(step.replies.len() <= 4, "{} replies", step.replies.len());
        for reply in &step.replies {
            let is_frame = serde_json::from_str::<Value>(reply).is_ok_and(|reply| reply.is_array());
            assert!(is_frame, "{reply}");
        }
    }
    check_observations(&session.tick(now).observations, now);
    check_observations(&session.closed(now).observations, now);
}

#[test]
fn a_session_stands_whatever_a_station_says() {
    run(
        "ocpp",
        vec(broken(&FRAMES), 1..12),
        |frames: Vec<Broken>| {
            play(frames.iter().map(|frame| frame.body.as_slice()));
        },
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_taken(frames in vec(any::<Vec<u8>>(), 1..6)) {
        play(frames.iter().map(Vec::as_slice));
    }
}
