//! The [`Store`] trait: which operation reads and which writes. What each does is in the module of
//! its table.

use async_trait::async_trait;
use jiff::Timestamp;
use livewatt_domain::{
    account::{Account, AccountSchedule},
    client::Client,
    device::{Device, DeviceText},
    hem::{HemSystem, SiteHistory},
    history::Piece,
    id::{
        AccountId, ActionId, ChargingSessionId, ClientId, DeviceId, HemSystemId, LocationId,
        PlanId, ScheduleId, UserId, WebhookId,
    },
    kind::DeviceKind,
    link::LinkSession,
    location::Location,
    money::Currency,
    partition::Partitions,
    production::{Known, Period, Production},
    session::ChargingSession,
    smart::PlanRecord,
    stay::Stay,
    tariff::{LocationTariff, MarketPrice, Tariff, TariffId},
    webhook::{DeliveryAttempt, Lane, Position, Webhook},
};

use super::{
    SqliteStore, accounts, actions, ages, clients, commit, devices, energy, exports, fleet, hem,
    links, locations, log, operation, past, production, schedules, slices, smart, tariffs, users,
    webhooks,
};
use crate::{
    AccountsOf, AgeHour, AgeQuery, AgeState, BreachList, BudgetUsage, ExportBehind, ExportStep,
    Fences, FleetAccount, FleetDevice, LaneStep, LocationChange, LocationPatch, LocationPrices,
    LocationPricing, LogPage, LogQuery, LostDevice, MarketUpload, Page, PageRequest, PastDevice,
    PendingOf, PresenceFlush, ProductionDue, Quarter, SealedCredentials, Store, StoreError,
    StoreFigures, StoreResult, StoredAction, StoredSchedule, StoredSmart, StoredToken, UnitOfWork,
    User, flush,
};

/// Rows of dropped slices deleted in one go: some tens of milliseconds.
const ROWS_CLEARED_AT_ONCE: u32 = 1_000;

#[async_trait]
impl Store for SqliteStore {
    async fn create_client(&self, client: Client, secret_hash: String) -> StoreResult<()> {
        self.write(move |c| clients::create(c, &client, &secret_hash))
            .await
    }

    async fn create_first_client(&self, client: Client, secret_hash: String) -> StoreResult<bool> {
        self.write(move |c| clients::create_first(c, &client, &secret_hash))
            .await
    }

    async fn list_clients(&self) -> StoreResult<Vec<Client>> {
        self.read(clients::list).await
    }

    async fn find_client(&self, id: ClientId) -> StoreResult<Option<(Client, String)>> {
        self.read(move |c| clients::find(c, id)).await
    }

    async fn rotate_client_secret(&self, id: ClientId, secret_hash: String) -> StoreResult<bool> {
        self.write(move |c| clients::rotate_secret(c, id, &secret_hash))
            .await
    }

    async fn delete_client(&self, id: ClientId) -> StoreResult<bool> {
        self.write(move |c| clients::delete(c, id)).await
    }

    async fn save_token(&self, token: StoredToken, now: Timestamp) -> StoreResult<()> {
        self.write(move |c| clients::save_token(c, &token, now))
            .await
    }

    async fn find_token(&self, hash: [u8; 32], now: Timestamp) -> StoreResult<Option<StoredToken>> {
        self.read_row(move |c| clients::find_token(c, &hash, now))
            .await
    }

    async fn find_user(&self, client: ClientId, user: UserId) -> StoreResult<Option<User>> {
        self.read(move |c| users::find(c, client, &user)).await
    }

    async fn list_users(&self, client: ClientId, page: PageRequest) -> StoreResult<Page<User>> {
        self.read(move |c| users::list(c, client, &page)).await
    }

    async fn delete_user(&self, client: ClientId, user: UserId) -> StoreResult<bool> {
        self.write(move |c| users::delete(c, client, &user)).await
    }

    async fn create_link_session(
        &self,
        session: LinkSession,
        token_hash: [u8; 32],
    ) -> StoreResult<()> {
        self.write(move |c| links::create(c, &session, &token_hash))
            .await
    }

    async fn find_link_session(&self, token_hash: [u8; 32]) -> StoreResult<Option<LinkSession>> {
        self.read(move |c| links::find(c, &token_hash)).await
    }

    async fn waiting_link_session(&self, account: AccountId) -> StoreResult<Option<LinkSession>> {
        self.read(move |c| links::waiting(c, account)).await
    }

    async fn save_link_progress(&self, session: LinkSession) -> StoreResult<()> {
        self.write(move |c| links::save_progress(c, &session)).await
    }

    async fn list_accounts(&self, of: AccountsOf) -> StoreResult<Vec<(Account, AccountSchedule)>> {
        self.read(move |c| accounts::list(c, &of)).await
    }

    async fn find_account(&self, id: AccountId) -> StoreResult<Option<(Account, AccountSchedule)>> {
        self.read(move |c| accounts::find(c, id)).await
    }

    async fn account_to_fetch(
        &self,
        id: AccountId,
    ) -> StoreResult<Option<(Account, Option<SealedCredentials>)>> {
        self.read_row(move |c| accounts::to_fetch(c, id)).await
    }

    async fn account_with_devices(
        &self,
        id: AccountId,
    ) -> StoreResult<Option<(Account, Vec<Device>)>> {
        self.read(move |c| match accounts::find(c, id)? {
            Some((account, _)) => Ok(Some((account, devices::of_account(c, id)?))),
            None => Ok(None),
        })
        .await
    }

    async fn fleet_accounts(
        &self,
        of: Partitions,
        after: Option<AccountId>,
        limit: u32,
    ) -> StoreResult<Vec<FleetAccount>> {
        self.scan(move |c| fleet::accounts(c, &of, after, limit))
            .await
    }

    async fn fleet_devices(
        &self,
        of: Partitions,
        after: Option<DeviceId>,
        limit: u32,
    ) -> StoreResult<Vec<FleetDevice>> {
        self.scan(move |c| fleet::devices(c, &of, after, limit))
            .await
    }

    async fn find_accounts_of_vendor(
        &self,
        integration: String,
        vendor_account_id: String,
    ) -> StoreResult<Vec<Account>> {
        self.read(move |c| accounts::of_vendor(c, &integration, &vendor_account_id))
            .await
    }

    async fn credentials(&self, id: AccountId) -> StoreResult<Option<SealedCredentials>> {
        self.read(move |c| accounts::credentials(c, id)).await
    }

    async fn devices_of_account(&self, id: AccountId) -> StoreResult<Vec<Device>> {
        self.read(move |c| devices::of_account(c, id)).await
    }

    async fn find_device(&self, client: ClientId, id: DeviceId) -> StoreResult<Option<Device>> {
        self.read_row(move |c| devices::find(c, client, id)).await
    }

    async fn list_devices(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        page: PageRequest,
    ) -> StoreResult<Page<Device>> {
        self.read(move |c| devices::list(c, client, user.as_ref(), kind, &page))
            .await
    }

    async fn find_device_text(
        &self,
        client: ClientId,
        id: DeviceId,
    ) -> StoreResult<Option<DeviceText>> {
        self.read_row(move |c| devices::find_text(c, client, id))
            .await
    }

    async fn list_device_texts(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        page: PageRequest,
    ) -> StoreResult<Page<DeviceText>> {
        self.read(move |c| devices::list_texts(c, client, user.as_ref(), kind, &page))
            .await
    }

    async fn find_past_device(
        &self,
        client: ClientId,
        id: DeviceId,
        at: Timestamp,
    ) -> StoreResult<Option<PastDevice>> {
        self.read_row(move |c| past::find(c, client, id, at)).await
    }

    async fn list_past_devices(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        at: Timestamp,
        page: PageRequest,
    ) -> StoreResult<Page<PastDevice>> {
        self.read(move |c| past::list(c, client, user.as_ref(), kind, at, &page))
            .await
    }

    async fn find_action(
        &self,
        client: ClientId,
        id: ActionId,
    ) -> StoreResult<Option<StoredAction>> {
        self.read_row(move |c| actions::find(c, client, id)).await
    }

    async fn newest_action(&self, device: DeviceId) -> StoreResult<Option<StoredAction>> {
        self.read_row(move |c| actions::newest(c, device)).await
    }

    async fn pending_actions(&self, of: PendingOf) -> StoreResult<Vec<StoredAction>> {
        self.read(move |c| actions::pending(c, &of)).await
    }

    async fn find_schedule(
        &self,
        client: ClientId,
        id: ScheduleId,
    ) -> StoreResult<Option<StoredSchedule>> {
        self.read_row(move |c| schedules::find(c, client, id)).await
    }

    async fn list_schedules(
        &self,
        client: ClientId,
        user: UserId,
        page: PageRequest,
    ) -> StoreResult<Page<StoredSchedule>> {
        self.read(move |c| schedules::list(c, client, &user, &page))
            .await
    }

    async fn schedules_of_device(&self, device: DeviceId) -> StoreResult<Vec<StoredSchedule>> {
        self.read(move |c| schedules::of_device(c, device)).await
    }

    async fn scheduled_devices(&self, of: Partitions) -> StoreResult<Vec<(AccountId, DeviceId)>> {
        self.read(move |c| schedules::devices(c, &of)).await
    }

    async fn find_smart(&self, device: DeviceId) -> StoreResult<Option<StoredSmart>> {
        self.read_row(move |c| smart::find(c, device)).await
    }

    async fn active_smart(&self, of: Partitions) -> StoreResult<Vec<(AccountId, DeviceId)>> {
        self.read(move |c| smart::active(c, &of)).await
    }

    async fn is_claimed(
        &self,
        client: ClientId,
        claim: String,
        but_for: DeviceId,
    ) -> StoreResult<bool> {
        self.read(move |c| smart::is_claimed(c, client, &claim, but_for))
            .await
    }

    async fn smart_plan(
        &self,
        device: DeviceId,
        id: Option<PlanId>,
    ) -> StoreResult<Option<PlanRecord>> {
        self.read_row(move |c| smart::plan(c, device, id)).await
    }

    async fn hem_systems_of_account(&self, id: AccountId) -> StoreResult<Vec<HemSystem>> {
        self.read(move |c| hem::of_account(c, id)).await
    }

    async fn find_hem_system(
        &self,
        client: ClientId,
        id: HemSystemId,
    ) -> StoreResult<Option<HemSystem>> {
        self.read(move |c| hem::find(c, client, id)).await
    }

    async fn list_hem_systems(
        &self,
        client: ClientId,
        user: Option<UserId>,
        page: PageRequest,
    ) -> StoreResult<Page<HemSystem>> {
        self.read(move |c| hem::list(c, client, user.as_ref(), &page))
            .await
    }

    async fn last_seen(&self, devices: Vec<DeviceId>) -> StoreResult<Vec<(DeviceId, Timestamp)>> {
        self.read(move |c| hem::last_seen(c, &devices)).await
    }

    async fn hem_record(
        &self,
        id: HemSystemId,
        period: Period,
    ) -> StoreResult<Option<SiteHistory>> {
        self.read(move |c| hem::record(c, id, period)).await
    }

    async fn create_location(&self, location: Location) -> StoreResult<bool> {
        self.write(move |c| locations::create(c, &location)).await
    }

    async fn find_location(
        &self,
        client: ClientId,
        id: LocationId,
    ) -> StoreResult<Option<Location>> {
        self.read(move |c| locations::find(c, client, id)).await
    }

    async fn list_locations(
        &self,
        client: ClientId,
        user: Option<UserId>,
        page: PageRequest,
    ) -> StoreResult<Page<Location>> {
        self.read(move |c| locations::list(c, client, user.as_ref(), &page))
            .await
    }

    async fn locations_of_user(
        &self,
        client: ClientId,
        user: UserId,
    ) -> StoreResult<Vec<Location>> {
        self.read(move |c| locations::of_user(c, client, &user))
            .await
    }

    async fn update_location(
        &self,
        client: ClientId,
        id: LocationId,
        patch: LocationPatch,
    ) -> StoreResult<Option<Location>> {
        self.write(move |c| locations::update(c, client, id, &patch))
            .await
    }

    async fn delete_location(
        &self,
        client: ClientId,
        id: LocationId,
    ) -> StoreResult<Option<Location>> {
        self.write(move |c| locations::delete(c, client, id)).await
    }

    async fn location_changes(
        &self,
        of: Partitions,
        limit: u32,
    ) -> StoreResult<Vec<LocationChange>> {
        self.read(move |c| locations::changes(c, &of, limit)).await
    }

    async fn forget_location_changes(&self, numbers: Vec<i64>) -> StoreResult<()> {
        self.write(move |c| locations::forget_changes(c, &numbers))
            .await
    }

    async fn save_tariff(&self, client: ClientId, tariff: Tariff) -> StoreResult<()> {
        self.write(move |c| tariffs::save(c, client, &tariff)).await
    }

    async fn find_tariff(&self, client: ClientId, id: TariffId) -> StoreResult<Option<Tariff>> {
        self.read(move |c| tariffs::find(c, client, &id)).await
    }

    async fn hang_tariff(&self, client: ClientId, hung: LocationTariff) -> StoreResult<bool> {
        self.write(move |c| tariffs::hang(c, client, &hung)).await
    }

    async fn location_prices(
        &self,
        client: ClientId,
        id: LocationId,
    ) -> StoreResult<Option<LocationPrices>> {
        self.read(move |c| tariffs::prices(c, client, id)).await
    }

    async fn set_location_pricing(
        &self,
        client: ClientId,
        id: LocationId,
        pricing: LocationPricing,
    ) -> StoreResult<bool> {
        self.write(move |c| tariffs::set_pricing(c, client, id, &pricing))
            .await
    }

    async fn client_currency(&self, client: ClientId) -> StoreResult<Option<Currency>> {
        self.read(move |c| tariffs::client_currency(c, client))
            .await
    }

    async fn set_client_currency(
        &self,
        client: ClientId,
        currency: Option<Currency>,
    ) -> StoreResult<()> {
        self.write(move |c| tariffs::set_client_currency(c, client, currency))
            .await
    }

    async fn save_market_prices(&self, upload: MarketUpload) -> StoreResult<()> {
        self.write(move |c| tariffs::save_market(c, &upload)).await
    }

    async fn market_prices(
        &self,
        client: ClientId,
        area: String,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<MarketPrice>> {
        self.read(move |c| tariffs::market(c, client, &area, from, to))
            .await
    }

    async fn take_fences(&self) -> StoreResult<Fences> {
        self.write(commit::take_fences).await
    }

    async fn commit(&self, unit: UnitOfWork) -> StoreResult<Option<Position>> {
        self.write(move |c| commit::commit(c, &unit)).await
    }

    async fn flush_presence(&self, flush: PresenceFlush) -> StoreResult<()> {
        let (pieces, sums) = flush::pieces(flush);
        let pieces: Vec<_> = pieces
            .into_iter()
            .map(|piece| {
                self.writer
                    .submit(move |c| commit::flush_presence(c, &piece))
            })
            .collect();
        for piece in pieces {
            piece?.await.unwrap_or(Err(StoreError::Closed))?;
        }
        if sums.is_empty() {
            return Ok(());
        }
        self.write(move |c| commit::flush_presence(c, &sums)).await
    }

    async fn budget_usage(&self, of: Partitions) -> StoreResult<Vec<BudgetUsage>> {
        self.read(move |c| commit::budget_usage(c, &of)).await
    }

    async fn lost_devices(&self, of: Partitions) -> StoreResult<Vec<LostDevice>> {
        self.scan(move |c| fleet::lost_devices(c, &of)).await
    }

    async fn age_state(&self, _of: Partitions) -> StoreResult<AgeState> {
        // One program counts for all partitions at once.
        self.read(ages::state).await
    }

    async fn age_hours(&self, query: AgeQuery) -> StoreResult<Vec<AgeHour>> {
        self.read(move |c| ages::hours(c, &query)).await
    }

    async fn breaches(&self, query: AgeQuery, limit: u32) -> StoreResult<BreachList> {
        self.read(move |c| ages::breaches(c, &query, limit)).await
    }

    async fn history_piece(&self, device: DeviceId, from: Timestamp) -> StoreResult<Piece> {
        self.read(move |c| energy::piece(c, device, from)).await
    }

    async fn devices_with_history(
        &self,
        client: ClientId,
        user: UserId,
        kind: DeviceKind,
    ) -> StoreResult<Vec<DeviceId>> {
        self.read(move |c| energy::devices(c, client, &user, kind))
            .await
    }

    async fn quarters(
        &self,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<Quarter>> {
        self.read(move |c| energy::quarters(c, &devices, from, to))
            .await
    }

    async fn stays(
        &self,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<(DeviceId, Stay)>> {
        self.read(move |c| energy::stays(c, &devices, from, to))
            .await
    }

    async fn charging_sessions(
        &self,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<(DeviceId, ChargingSession)>> {
        self.read(move |c| energy::sessions(c, &devices, from, to))
            .await
    }

    async fn find_charging_session(
        &self,
        client: ClientId,
        id: ChargingSessionId,
    ) -> StoreResult<Option<(DeviceId, ChargingSession)>> {
        self.read(move |c| energy::find_session(c, client, id))
            .await
    }

    async fn productions_due(
        &self,
        integration: String,
        of: Partitions,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<ProductionDue>> {
        self.read(move |c| production::due(c, &integration, &of, now, limit))
            .await
    }

    async fn next_production(&self, device: DeviceId) -> StoreResult<Option<Timestamp>> {
        self.read(move |c| production::next(c, device)).await
    }

    async fn known_productions(&self, device: DeviceId, from: Period) -> StoreResult<Vec<Known>> {
        self.read(move |c| production::known(c, device, from)).await
    }

    async fn production(
        &self,
        device: DeviceId,
        period: Period,
    ) -> StoreResult<Option<Production>> {
        self.read(move |c| production::find(c, device, period))
            .await
    }

    async fn prune_samples(&self, keep_from: Timestamp) -> StoreResult<()> {
        while self
            .write(move |c| energy::forget_samples(c, keep_from, ROWS_CLEARED_AT_ONCE))
            .await?
        {}
        Ok(())
    }

    async fn events_after(&self, query: LogQuery) -> StoreResult<LogPage> {
        self.read(move |c| log::events_after(c, &query)).await
    }

    async fn last_position(&self, client: ClientId) -> StoreResult<Position> {
        self.read(move |c| log::last_position(c, client)).await
    }

    async fn count_events_after(
        &self,
        client: ClientId,
        after: Position,
        limit: u32,
    ) -> StoreResult<u32> {
        self.read(move |c| log::count_after(c, client, after, limit))
            .await
    }

    async fn newest_event_at(&self) -> StoreResult<Option<Timestamp>> {
        self.read(log::newest_event_at).await
    }

    async fn prune(&self, keep_from: Timestamp, now: Timestamp) -> StoreResult<u32> {
        // In small pieces, so that other writes get in between.
        let mut dropped = 0;
        while self
            .write(move |c| log::drop_oldest_slice(c, keep_from, now))
            .await?
        {
            dropped += 1;
        }
        while self
            .write(|c| slices::clear_away(c, ROWS_CLEARED_AT_ONCE))
            .await?
        {}
        self.write(move |c| operation::forget_before(c, keep_from))
            .await?;
        self.write(move |c| ages::forget_before(c, keep_from))
            .await?;
        Ok(dropped)
    }

    async fn create_webhook(&self, webhook: Webhook, cursor: Position) -> StoreResult<()> {
        self.write(move |c| webhooks::create(c, &webhook, cursor))
            .await
    }

    async fn list_webhooks(
        &self,
        client: ClientId,
        page: PageRequest,
    ) -> StoreResult<Page<Webhook>> {
        self.read(move |c| webhooks::list(c, client, &page)).await
    }

    async fn find_webhook(&self, client: ClientId, id: WebhookId) -> StoreResult<Option<Webhook>> {
        self.read(move |c| webhooks::find(c, client, id)).await
    }

    async fn update_webhook(&self, webhook: Webhook) -> StoreResult<bool> {
        self.write(move |c| webhooks::update(c, &webhook)).await
    }

    async fn delete_webhook(&self, client: ClientId, id: WebhookId) -> StoreResult<bool> {
        self.write(move |c| webhooks::delete(c, client, id)).await
    }

    async fn active_webhooks(&self) -> StoreResult<Vec<(Webhook, Vec<Lane>)>> {
        self.read(webhooks::active).await
    }

    async fn lanes(&self, id: WebhookId) -> StoreResult<Vec<Lane>> {
        self.read(move |c| webhooks::lanes(c, id)).await
    }

    async fn save_lane(&self, step: LaneStep) -> StoreResult<bool> {
        self.write(move |c| webhooks::save_lane(c, &step)).await
    }

    async fn delivery_attempts(
        &self,
        id: WebhookId,
        limit: u32,
    ) -> StoreResult<Vec<DeliveryAttempt>> {
        self.read(move |c| webhooks::attempts(c, id, limit)).await
    }

    async fn skip_positions(&self) -> StoreResult<()> {
        self.write(log::skip_positions).await
    }

    async fn exports_behind(&self, sink: String) -> StoreResult<Vec<ExportBehind>> {
        self.read(move |c| exports::behind(c, &sink)).await
    }

    async fn save_export(&self, step: ExportStep) -> StoreResult<bool> {
        self.write(move |c| exports::save(c, &step)).await
    }

    async fn check(&self) -> StoreResult<()> {
        self.read(operation::check_reading).await?;
        self.write(operation::check_writing).await
    }

    async fn figures(&self) -> StoreResult<StoreFigures> {
        self.read(operation::figures).await
    }

    async fn remember(&self, name: String, value: String) -> StoreResult<String> {
        self.write(move |c| operation::remember(c, &name, &value))
            .await
    }
}
