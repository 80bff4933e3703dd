//! Moments at which a server is killed, and how each is met.

use std::{sync::Arc, time::Duration};

use livewatt_domain::entropy::Entropy as _;
use livewatt_sandbox::Cloud;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::stage::{Stage, is_valid, link};
use crate::support::http::Api;

/// When to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    StartUp,
    Anytime,
    DuringPush,
    AfterAcknowledgement,
    /// The server has connected to the receiver: a delivery is frozen and hardly sent.
    Connection,
    /// The receiver has a delivery and has not answered.
    HeldDelivery,
    /// The receiver has answered: a delivery is sent and hardly settled.
    AnsweredDelivery,
    Flush,
    Link,
    Refresh,
}

/// One after the other.
pub(super) const MOMENTS: [Moment; 10] = [
    Moment::StartUp,
    Moment::Anytime,
    Moment::DuringPush,
    Moment::AfterAcknowledgement,
    Moment::Connection,
    Moment::HeldDelivery,
    Moment::AnsweredDelivery,
    Moment::Flush,
    Moment::Link,
    Moment::Refresh,
];

impl Stage {
    /// Lets the server work until the moment has come. False if it did not come.
    pub(super) async fn meet(&mut self, moment: Moment, api: &Api) -> bool {
        let limit = Duration::from_secs(5);
        match moment {
            Moment::StartUp | Moment::Anytime => {
                self.wait_up_to(1200).await;
                true
            }
            Moment::DuringPush => {
                let has_come = timeout(limit, self.front.next_push()).await.is_ok();
                self.wait_up_to(4).await;
                has_come
            }
            Moment::AfterAcknowledgement => {
                self.wait_up_to(200).await;
                let acknowledged = self.front.next_acknowledgement();
                timeout(limit, acknowledged).await.is_ok()
            }
            Moment::Connection => {
                let before = self.receiver.connections();
                until(limit, || self.receiver.connections() > before).await
            }
            Moment::HeldDelivery => {
                self.receiver.hold();
                let before = self.receiver.attempts().len();
                let has_come = until(limit, || self.receiver.attempts().len() > before).await;
                self.wait_up_to(20).await;
                has_come
            }
            Moment::AnsweredDelivery => {
                let before = self.receiver.deliveries().len();
                until(limit, || self.receiver.deliveries().len() > before).await
            }
            Moment::Flush => {
                // Quiet writes go out every second from the start.
                sleep(Duration::from_millis(900)).await;
                self.wait_up_to(200).await;
                true
            }
            Moment::Link => self.cut_link(api).await,
            Moment::Refresh => self.provoke_refresh(api).await,
        }
    }

    /// Somebody new links an account; the moment comes with the last step.
    async fn cut_link(&mut self, api: &Api) -> bool {
        let cloud = [Cloud::Helios, Cloud::Volta][self.links_cut % 2];
        let user = format!("cut-{}", self.links_cut);
        let account = self.account(cloud, 1);
        self.links_cut += 1;
        let is_ending = Arc::new(Notify::new());
        let (api, front) = (api.clone(), self.front.url.clone());
        let (person, ending) = ((user.clone(), account.clone()), is_ending.clone());
        self.people.push((user, account));
        tokio::spawn(async move {
            // However it ends: the server dies on the way.
            let _ = link(&api, &front, &person.0, &person.1, || ending.notify_one()).await;
        });
        let has_come = timeout(Duration::from_secs(5), is_ending.notified()).await;
        self.wait_up_to(60).await;
        has_come.is_ok()
    }

    /// Access tokens end before their time; the moment comes when the vendor is asked for others.
    async fn provoke_refresh(&mut self, api: &Api) -> bool {
        let place = self.random.next_u64() % 2;
        let (user, cloud, endpoint, plural) = [
            ("refreshed", Cloud::Volta, "token", "vehicles"),
            ("house", Cloud::Helios, "refresh", "batteries"),
        ][place as usize];
        let (_, account) = self.people.iter().find(|(name, _)| name == user).unwrap();
        let calls = || {
            let truth = self.sandbox.truth(Some(cloud), Some(&account.id)).unwrap();
            truth["accounts"][0]["stats"]["calls"][endpoint].as_u64()
        };
        let before = calls();
        self.sandbox.expire_tokens(cloud, &account.id).unwrap();
        let devices = api.get(&format!("/users/{user}/{plural}")).await;
        let devices = devices.expect_status(200);
        let id = devices["data"][0]["id"].as_str().unwrap();
        let hint = format!("/{plural}/{id}/refresh-hint");
        api.post(&hint, None).await.expect_status(204);
        let has_come = until(Duration::from_secs(5), || calls() > before).await;
        self.wait_up_to(3).await;
        // A login that was lost is not refreshed any more.
        has_come || !is_valid(api, user).await
    }
}

/// Waits for something outside of this process.
async fn until(limit: Duration, is_so: impl Fn() -> bool) -> bool {
    let looking = async {
        while !is_so() {
            sleep(Duration::from_micros(500)).await;
        }
    };
    timeout(limit, looking).await.is_ok()
}
