//! What every backend must do, as one test per promise.
//!
//! A backend's tests call [`store_contract!`](crate::store_contract) with a function that opens an
//! empty store. The cases speak through a [`Story`]: one client with one user and one account, and
//! verbs for what happens to them.

pub mod accounts;
pub mod actions;
pub mod ages;
pub mod clients;
pub mod energy;
pub mod erasure;
pub mod exports;
pub mod fleet;
pub mod hem;
pub mod links;
pub mod locations;
pub mod log;
pub mod operation;
pub mod paging;
pub mod past;
pub mod presence;
pub mod private_postgres;
pub mod production;
pub mod schedules;
pub mod smart;
pub mod tariffs;
pub mod units;
pub mod webhooks;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    account::{Account, AccountStatus, LinkedVendor},
    client::Client,
    device::{Device, NewDevice, VendorDevice},
    entropy::SeededEntropy,
    event::{Event, EventMaker},
    id::{AccountId, ClientId, DeviceId, EventId, LinkSessionId, UserId, WebhookId},
    kind::DeviceKind,
    link::{LinkProgress, LinkSession, LinkState},
    scope::Scope,
    vendor::VendorName,
    webhook::{EventFilter, Position, Webhook},
};

use crate::{
    AccountChange, CredentialsChange, DeviceChange, Fences, LogPage, LogQuery, Store, StoreResult,
    UnitOfWork,
};

/// Makes one test of each promise. The argument is the path, from the crate's root, of an async
/// function without arguments that opens an empty store and returns it behind whatever must outlive
/// it: `(guard, Arc<dyn Store>)`.
#[macro_export]
macro_rules! store_contract {
    ($open:path) => {
        $crate::store_contract! { $open =>
            clients:
                are_listed_newest_first,
                are_begun_once,
                are_unique,
                tokens_expire,
                a_new_secret_revokes_the_tokens;
            links:
                a_session_makes_its_user,
                progress_is_kept_until_done,
                who_waits_for_a_device_is_found,
                a_unit_finishes_a_session_once;
            accounts:
                are_found_in_every_way,
                credentials_follow_their_account,
                need_their_user,
                are_replaced_only_as_they_were_read,
                take_their_devices_along;
            units:
                are_there_whole,
                are_not_there_in_part,
                need_the_newest_fence,
                change_devices_only_from_the_version_read,
                never_move_last_seen_back,
                move_a_device_to_another_account,
                devices_are_unique_within_their_account;
            presence:
                is_written_beside_the_version,
                being_seen_moves_last_seen_alone,
                passes_over_what_has_moved_on,
                keeps_schedules_and_budgets;
            fleet:
                is_read_page_by_page,
                shows_devices_as_they_are,
                an_account_to_fetch_brings_its_credentials;
            ages:
                are_added_up,
                breaches_begin_and_end,
                breaches_go_with_time_and_with_their_user;
            energy:
                come_back_by_the_piece,
                quarters_are_restated,
                stays_follow_each_other,
                histories_go_with_time_and_with_their_user,
                histories_need_their_device;
            production:
                comes_back_as_it_was_told,
                inverters_are_asked_about_in_turn,
                goes_with_its_inverter;
            hem:
                systems_come_back_as_they_were,
                systems_change_only_from_the_version_read,
                systems_go_with_their_account,
                records_come_back_as_they_were_told;
            paging:
                forwards_and_backwards_over_devices,
                goes_on_from_rows_that_are_gone,
                users_webhooks_and_locations;
            past:
                devices_are_as_their_events_say,
                lists_are_of_the_devices_of_then,
                what_is_dropped_is_not_made_up,
                goes_with_its_user;
            log:
                events_come_back_as_they_were,
                belongs_to_one_client,
                stops_where_asked,
                is_read_without_gaps_while_it_is_written,
                lanes_partition_it,
                is_pruned_by_whole_days,
                positions_outlive_the_events,
                leaves_a_gap_where_told,
                goes_on_when_the_clock_goes_back,
                outlives_a_clock_that_was_ahead,
                outlives_a_clock_that_was_behind;
            erasure:
                of_a_user,
                of_a_client;
            exports:
                go_on_from_their_cursors,
                end_with_their_client,
                are_moved_by_the_owner_alone;
            webhooks:
                start_all_lanes_at_the_cursor,
                have_one_url_each,
                an_update_keeps_what_is_under_way,
                another_filter_drops_what_is_under_way,
                a_step_is_written_whole,
                are_deleted_with_their_lanes;
            actions:
                are_found_and_change_as_they_were_read,
                are_pending_one_a_device,
                are_there_with_their_events_or_not,
                follow_their_device,
                go_with_their_user_and_with_time;
            schedules:
                are_found_and_change_as_they_were_read,
                are_enabled_one_a_device,
                are_listed_newest_first,
                are_there_with_their_events_or_not,
                go_with_their_device_and_with_their_user;
            smart:
                comes_back_and_changes_as_it_was_read,
                plans_are_kept,
                what_is_to_be_seen_to_is_found,
                a_vehicle_is_claimed_once,
                goes_with_its_device_and_its_user;
            locations:
                change_in_parts,
                need_their_user,
                changes_are_noted_with_themselves;
            tariffs:
                keep_all_their_versions,
                hang_at_a_location_with_history,
                of_markets_replace_each_other;
            operation:
                checks_pass,
                figures_count_what_stands_still,
                settings_are_remembered,
                old_attempts_and_sessions_are_forgotten;
        }
    };
    ($open:path => $($area:ident: $($case:ident),+;)+) => {
        $($crate::store_contract! { @area $area $open => $($case)+ })+
    };
    (@area $area:ident $open:path => $($case:ident)+) => {
        mod $area {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    let (guard, store) = $open().await;
                    let outcome = $crate::contract::$area::$case(store).await;
                    outcome.expect("the store works");
                    drop(guard);
                }
            )+
        }
    };
}

/// One client with one user and one account, and verbs for what happens to them.
#[derive(Debug)]
pub struct Story {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The client.
    pub client: ClientId,
    /// The account.
    pub account: Account,
    /// The fences this story writes with.
    pub fences: Fences,
    entropy: SeededEntropy,
}

/// So many minutes after a moment in the afternoon of 23 November 2026.
pub fn minute(minutes: i64) -> Timestamp {
    let start = Timestamp::constant(1_795_449_600, 0);
    start
        .saturating_add(SignedDuration::from_mins(minutes))
        .unwrap_or(start)
}

/// The same moment so many days later.
pub fn day(days: i64) -> Timestamp {
    minute(days * 24 * 60)
}

/// A user ID.
pub fn user_id(name: &str) -> UserId {
    name.parse()
        .unwrap_or_else(|_| unreachable!("the cases name their users properly"))
}

impl Story {
    /// Begins with a client, its user `ada`, and an account of hers, at minute 0.
    pub async fn begin(store: Arc<dyn Store>) -> StoreResult<Self> {
        let entropy = SeededEntropy::new(7);
        let client = ClientId::new(minute(0), &entropy);
        let account = Account {
            id: AccountId::new(minute(0), &entropy),
            client_id: client,
            user_id: user_id("ada"),
            integration: "acme".to_owned(),
            vendor_account_id: "ada@acme.example".to_owned(),
            linked: vec![LinkedVendor {
                vendor: vendor(),
                kind: DeviceKind::Vehicle,
            }],
            scopes: vec![Scope::VehicleReadData, Scope::VehicleReadLocation],
            status: AccountStatus::Active,
            created_at: minute(0),
            listed_at: None,
            credentials_version: 1,
        };
        let fences = store.take_fences().await?;
        let story = Self {
            store,
            client,
            account,
            fences,
            entropy,
        };
        story.add_client(client, 0).await?;
        story.add_user(client, "ada", 0).await?;
        story.save_account(&story.account).await?;
        Ok(story)
    }

    /// A client made at a minute.
    pub fn client_like(id: ClientId, at: i64) -> Client {
        Client {
            id,
            name: format!("client of minute {at}"),
            created_at: minute(at),
            connection_limit: Some(5),
        }
    }

    /// Adds a client made at a minute.
    pub async fn add_client(&self, id: ClientId, at: i64) -> StoreResult<Client> {
        let client = Self::client_like(id, at);
        self.store
            .create_client(client.clone(), "hash".to_owned())
            .await?;
        Ok(client)
    }

    /// Adds a user, the way it happens: with a link session, whose token hash is returned.
    pub async fn add_user(
        &self,
        client: ClientId,
        name: &str,
        at: i64,
    ) -> StoreResult<(LinkSession, [u8; 32])> {
        let session = LinkSession {
            id: LinkSessionId::new(minute(at), &self.entropy),
            client_id: client,
            user_id: user_id(name),
            scopes: vec![Scope::VehicleReadData],
            language: "browser".to_owned(),
            redirect_uri: "https://customer.example/done".to_owned(),
            color_scheme: "dark".to_owned(),
            vendor: Some(vendor()),
            kind: Some(DeviceKind::Vehicle),
            relink: None,
            created_at: minute(at),
            state: LinkState::Open,
            progress: LinkProgress::default(),
        };
        let token_hash = self.hash();
        self.store
            .create_link_session(session.clone(), token_hash)
            .await?;
        Ok((session, token_hash))
    }

    /// Inserts or replaces an account without credentials.
    pub async fn save_account(&self, account: &Account) -> StoreResult<()> {
        let mut unit = self.unit();
        unit.accounts
            .push(self.saving(account, CredentialsChange::Keep).await?);
        self.store.commit(unit).await.map(drop)
    }

    /// The change that inserts or replaces an account.
    pub async fn saving(
        &self,
        account: &Account,
        credentials: CredentialsChange,
    ) -> StoreResult<AccountChange> {
        let stored = self.store.find_account(account.id).await?;
        Ok(AccountChange::Save {
            account: account.clone(),
            from_credentials: stored.map(|(account, _)| account.credentials_version),
            credentials,
            schedule: None,
        })
    }

    /// An empty unit of work of the account.
    pub fn unit(&self) -> UnitOfWork {
        UnitOfWork::new(Some(self.fences.of(self.account.id.partition())))
    }

    /// A vehicle of the account, found at a minute, that is not stored yet.
    pub fn vehicle(&self, at: i64) -> Device {
        let id = DeviceId::new(minute(at), &self.entropy);
        let mut device = Device::new(NewDevice {
            id,
            client_id: self.account.client_id,
            user_id: self.account.user_id.clone(),
            account_id: self.account.id,
            vendor_device: VendorDevice {
                kind: DeviceKind::Vehicle,
                id: id.to_string(),
            },
            vendor: vendor(),
            brand: "Acme".to_owned(),
            scopes: self.account.scopes.clone(),
            found_at: minute(at),
        });
        device.version = 1;
        device
    }

    /// Stores a vehicle found at a minute, with its event.
    pub async fn discover(&self, at: i64) -> StoreResult<Device> {
        let device = self.vehicle(at);
        let mut unit = self.unit();
        unit.events.push(self.maker(minute(at)).discovered(&device));
        unit.devices.push(DeviceChange::Insert(device.clone()));
        self.store.commit(unit).await?;
        Ok(device)
    }

    /// The next version of a device, and the change that leads to it.
    pub fn changed(&self, device: &Device) -> (Device, DeviceChange) {
        let mut next = device.clone();
        next.version += 1;
        next.document
            .set_path("isReachable", next.version.is_multiple_of(2).into());
        let change = DeviceChange::Update {
            device: next.clone(),
            from_version: device.version,
        };
        (next, change)
    }

    /// An event of a moment about `ada`'s account as a whole.
    pub fn event(&self, at: Timestamp) -> Event {
        self.maker(at)
            .credentials_invalidated(self.client, &self.account.user_id, &vendor())
    }

    /// An event of a moment about some device of some user.
    pub fn event_of(&self, client: ClientId, user: &str, at: Timestamp) -> Event {
        Event {
            id: EventId::new(at, &self.entropy),
            client_id: client,
            user_id: user_id(user),
            device: Some((DeviceId::new(at, &self.entropy), 1)),
            name: "user:vehicle:updated".to_owned(),
            created_at: at,
            body: "{}".to_owned(),
        }
    }

    /// Commits events; returns the position of the last.
    pub async fn log(&self, events: Vec<Event>) -> StoreResult<Position> {
        let mut unit = self.unit();
        unit.events = events;
        self.store.commit(unit).await.map(Option::unwrap_or_default)
    }

    /// The first page of 1000 events of a client after a position.
    pub async fn events(&self, client: ClientId, after: Position) -> StoreResult<LogPage> {
        let client_id = client;
        let query = LogQuery {
            client_id,
            after,
            until: None,
            lane: None,
            limit: 1000,
        };
        self.store.events_after(query).await
    }

    /// A webhook of the client, made at a minute, that is not stored yet.
    pub fn webhook(&self, at: i64) -> Webhook {
        Webhook {
            id: WebhookId::new(minute(at), &self.entropy),
            client_id: self.client,
            url: format!("https://customer.example/hooks/{at}"),
            sealed_secret: "sealed".to_owned(),
            events: EventFilter(vec!["*".to_owned()]),
            api_version: None,
            authentication: None,
            is_active: true,
            last_success: minute(at),
            created_at: minute(at),
            revision: 0,
            lanes: 3,
        }
    }

    /// A maker of events of a moment.
    pub fn maker(&self, now: Timestamp) -> EventMaker<'_> {
        EventMaker {
            now,
            entropy: &self.entropy,
        }
    }

    /// Where further IDs come from.
    pub const fn entropy(&self) -> &SeededEntropy {
        &self.entropy
    }

    /// A hash that was not there before.
    pub fn hash(&self) -> [u8; 32] {
        use livewatt_domain::entropy::Entropy;
        let mut hash = [0; 32];
        self.entropy.fill(&mut hash);
        hash
    }
}

fn vendor() -> VendorName {
    "ACME"
        .parse()
        .unwrap_or_else(|_| unreachable!("it is a proper name"))
}
