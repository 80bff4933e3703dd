//! The [`Store`] trait: which operation reads and which writes. What each does is in the module of
//! its table.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use livewatt_domain::{
    account::{Account, AccountSchedule},
    client::Client,
    device::Device,
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
    PostgresStore, accounts, actions, ages, clients, devices, energy, exports, fences, fleet, hem,
    links, locations, log, operation, past, presence, production, sample_days, schedules, slices,
    smart, tariffs, users, webhooks,
};
use crate::{
    AccountsOf, AgeHour, AgeQuery, AgeState, BreachList, BudgetUsage, Cluster, ExportBehind,
    ExportStep, Fences, FleetAccount, FleetDevice, LaneStep, LocationChange, LocationPatch,
    LocationPrices, LocationPricing, LogPage, LogQuery, LostDevice, MarketUpload, Page,
    PageRequest, PastDevice, PendingOf, PresenceFlush, ProductionDue, Quarter, SealedCredentials,
    Store, StoreFigures, StoreResult, StoredAction, StoredSchedule, StoredSmart, StoredToken,
    UnitOfWork, User, flush,
};

#[async_trait]
impl Store for PostgresStore {
    fn cluster(&self) -> Option<Arc<dyn Cluster>> {
        Some(self.nodes.clone())
    }

    async fn create_client(&self, client: Client, secret_hash: String) -> StoreResult<()> {
        let mut work = self.write().await?;
        clients::create(&mut work, &client, &secret_hash).await?;
        work.commit().await
    }

    async fn create_first_client(&self, client: Client, secret_hash: String) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let is_first = clients::create_first(&mut work, &client, &secret_hash).await?;
        work.commit().await?;
        Ok(is_first)
    }

    async fn list_clients(&self) -> StoreResult<Vec<Client>> {
        let mut connection = self.read().await?;
        clients::list(&mut connection).await
    }

    async fn find_client(&self, id: ClientId) -> StoreResult<Option<(Client, String)>> {
        let mut connection = self.read().await?;
        clients::find(&mut connection, id).await
    }

    async fn rotate_client_secret(&self, id: ClientId, secret_hash: String) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let done = clients::rotate_secret(&mut work, id, &secret_hash).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn delete_client(&self, id: ClientId) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let done = clients::delete(&mut work, id).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn save_token(&self, token: StoredToken, now: Timestamp) -> StoreResult<()> {
        let mut work = self.write().await?;
        clients::save_token(&mut work, &token, now).await?;
        work.commit().await
    }

    async fn find_token(&self, hash: [u8; 32], now: Timestamp) -> StoreResult<Option<StoredToken>> {
        let mut connection = self.read().await?;
        clients::find_token(&mut connection, &hash, now).await
    }

    async fn find_user(&self, client: ClientId, user: UserId) -> StoreResult<Option<User>> {
        let mut connection = self.read().await?;
        users::find(&mut connection, client, &user).await
    }

    async fn list_users(&self, client: ClientId, page: PageRequest) -> StoreResult<Page<User>> {
        let mut connection = self.read().await?;
        users::list(&mut connection, client, &page).await
    }

    async fn delete_user(&self, client: ClientId, user: UserId) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let done = users::delete(&mut work, client, &user).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn create_link_session(
        &self,
        session: LinkSession,
        token_hash: [u8; 32],
    ) -> StoreResult<()> {
        let mut work = self.write().await?;
        links::create(&mut work, &session, &token_hash).await?;
        work.commit().await
    }

    async fn find_link_session(&self, token_hash: [u8; 32]) -> StoreResult<Option<LinkSession>> {
        let mut connection = self.read().await?;
        links::find(&mut connection, &token_hash).await
    }

    async fn waiting_link_session(&self, account: AccountId) -> StoreResult<Option<LinkSession>> {
        let mut connection = self.read().await?;
        links::waiting(&mut connection, account).await
    }

    async fn save_link_progress(&self, session: LinkSession) -> StoreResult<()> {
        let mut work = self.write().await?;
        links::save_progress(&mut work, &session).await?;
        work.commit().await
    }

    async fn list_accounts(&self, of: AccountsOf) -> StoreResult<Vec<(Account, AccountSchedule)>> {
        let mut connection = self.read().await?;
        accounts::list(&mut connection, &of).await
    }

    async fn find_account(&self, id: AccountId) -> StoreResult<Option<(Account, AccountSchedule)>> {
        let mut connection = self.read().await?;
        accounts::find(&mut connection, id).await
    }

    async fn account_to_fetch(
        &self,
        id: AccountId,
    ) -> StoreResult<Option<(Account, Option<SealedCredentials>)>> {
        let mut connection = self.read().await?;
        accounts::to_fetch(&mut connection, id).await
    }

    async fn account_with_devices(
        &self,
        id: AccountId,
    ) -> StoreResult<Option<(Account, Vec<Device>)>> {
        let mut connection = self.snapshot().await?;
        match accounts::find(&mut connection, id).await? {
            Some((account, _)) => Ok(Some((
                account,
                devices::of_account(&mut connection, id).await?,
            ))),
            None => Ok(None),
        }
    }

    async fn fleet_accounts(
        &self,
        of: Partitions,
        after: Option<AccountId>,
        limit: u32,
    ) -> StoreResult<Vec<FleetAccount>> {
        let mut connection = self.read().await?;
        fleet::accounts(&mut connection, &of, after, limit).await
    }

    async fn fleet_devices(
        &self,
        of: Partitions,
        after: Option<DeviceId>,
        limit: u32,
    ) -> StoreResult<Vec<FleetDevice>> {
        let mut connection = self.read().await?;
        fleet::devices(&mut connection, &of, after, limit).await
    }

    async fn find_accounts_of_vendor(
        &self,
        integration: String,
        vendor_account_id: String,
    ) -> StoreResult<Vec<Account>> {
        let mut connection = self.read().await?;
        accounts::of_vendor(&mut connection, &integration, &vendor_account_id).await
    }

    async fn credentials(&self, id: AccountId) -> StoreResult<Option<SealedCredentials>> {
        let mut connection = self.read().await?;
        accounts::credentials(&mut connection, id).await
    }

    async fn devices_of_account(&self, id: AccountId) -> StoreResult<Vec<Device>> {
        let mut connection = self.read().await?;
        devices::of_account(&mut connection, id).await
    }

    async fn find_device(&self, client: ClientId, id: DeviceId) -> StoreResult<Option<Device>> {
        let mut connection = self.read().await?;
        devices::find(&mut connection, client, id).await
    }

    async fn list_devices(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        page: PageRequest,
    ) -> StoreResult<Page<Device>> {
        let mut connection = self.read().await?;
        devices::list(&mut connection, client, user.as_ref(), kind, &page).await
    }

    async fn find_past_device(
        &self,
        client: ClientId,
        id: DeviceId,
        at: Timestamp,
    ) -> StoreResult<Option<PastDevice>> {
        let mut connection = self.read().await?;
        past::find(&mut connection, client, id, at).await
    }

    async fn list_past_devices(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        at: Timestamp,
        page: PageRequest,
    ) -> StoreResult<Page<PastDevice>> {
        let mut connection = self.read().await?;
        past::list(&mut connection, client, user.as_ref(), kind, at, &page).await
    }

    async fn find_action(
        &self,
        client: ClientId,
        id: ActionId,
    ) -> StoreResult<Option<StoredAction>> {
        let mut connection = self.read().await?;
        actions::find(&mut connection, client, id).await
    }

    async fn newest_action(&self, device: DeviceId) -> StoreResult<Option<StoredAction>> {
        let mut connection = self.read().await?;
        actions::newest(&mut connection, device).await
    }

    async fn pending_actions(&self, of: PendingOf) -> StoreResult<Vec<StoredAction>> {
        let mut connection = self.read().await?;
        actions::pending(&mut connection, &of).await
    }

    async fn find_schedule(
        &self,
        client: ClientId,
        id: ScheduleId,
    ) -> StoreResult<Option<StoredSchedule>> {
        let mut connection = self.read().await?;
        schedules::find(&mut connection, client, id).await
    }

    async fn list_schedules(
        &self,
        client: ClientId,
        user: UserId,
        page: PageRequest,
    ) -> StoreResult<Page<StoredSchedule>> {
        let mut connection = self.read().await?;
        schedules::list(&mut connection, client, &user, &page).await
    }

    async fn schedules_of_device(&self, device: DeviceId) -> StoreResult<Vec<StoredSchedule>> {
        let mut connection = self.read().await?;
        schedules::of_device(&mut connection, device).await
    }

    async fn scheduled_devices(&self, of: Partitions) -> StoreResult<Vec<(AccountId, DeviceId)>> {
        let mut connection = self.read().await?;
        schedules::devices(&mut connection, &of).await
    }

    async fn find_smart(&self, device: DeviceId) -> StoreResult<Option<StoredSmart>> {
        let mut connection = self.read().await?;
        smart::find(&mut connection, device).await
    }

    async fn active_smart(&self, of: Partitions) -> StoreResult<Vec<(AccountId, DeviceId)>> {
        let mut connection = self.read().await?;
        smart::active(&mut connection, &of).await
    }

    async fn is_claimed(
        &self,
        client: ClientId,
        claim: String,
        but_for: DeviceId,
    ) -> StoreResult<bool> {
        let mut connection = self.read().await?;
        smart::is_claimed(&mut connection, client, &claim, but_for).await
    }

    async fn smart_plan(
        &self,
        device: DeviceId,
        id: Option<PlanId>,
    ) -> StoreResult<Option<PlanRecord>> {
        let mut connection = self.read().await?;
        smart::plan(&mut connection, device, id).await
    }

    async fn hem_systems_of_account(&self, id: AccountId) -> StoreResult<Vec<HemSystem>> {
        let mut connection = self.read().await?;
        hem::of_account(&mut connection, id).await
    }

    async fn find_hem_system(
        &self,
        client: ClientId,
        id: HemSystemId,
    ) -> StoreResult<Option<HemSystem>> {
        let mut connection = self.read().await?;
        hem::find(&mut connection, client, id).await
    }

    async fn list_hem_systems(
        &self,
        client: ClientId,
        user: Option<UserId>,
        page: PageRequest,
    ) -> StoreResult<Page<HemSystem>> {
        let mut connection = self.read().await?;
        hem::list(&mut connection, client, user.as_ref(), &page).await
    }

    async fn last_seen(&self, devices: Vec<DeviceId>) -> StoreResult<Vec<(DeviceId, Timestamp)>> {
        let mut connection = self.read().await?;
        hem::last_seen(&mut connection, &devices).await
    }

    async fn hem_record(
        &self,
        id: HemSystemId,
        period: Period,
    ) -> StoreResult<Option<SiteHistory>> {
        let mut connection = self.read().await?;
        hem::record(&mut connection, id, period).await
    }

    async fn create_location(&self, location: Location) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let done = locations::create(&mut work, &location).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn find_location(
        &self,
        client: ClientId,
        id: LocationId,
    ) -> StoreResult<Option<Location>> {
        let mut connection = self.read().await?;
        locations::find(&mut connection, client, id).await
    }

    async fn list_locations(
        &self,
        client: ClientId,
        user: Option<UserId>,
        page: PageRequest,
    ) -> StoreResult<Page<Location>> {
        let mut connection = self.read().await?;
        locations::list(&mut connection, client, user.as_ref(), &page).await
    }

    async fn locations_of_user(
        &self,
        client: ClientId,
        user: UserId,
    ) -> StoreResult<Vec<Location>> {
        let mut connection = self.read().await?;
        locations::of_user(&mut connection, client, &user).await
    }

    async fn update_location(
        &self,
        client: ClientId,
        id: LocationId,
        patch: LocationPatch,
    ) -> StoreResult<Option<Location>> {
        let mut work = self.write().await?;
        let done = locations::update(&mut work, client, id, &patch).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn delete_location(
        &self,
        client: ClientId,
        id: LocationId,
    ) -> StoreResult<Option<Location>> {
        let mut work = self.write().await?;
        let done = locations::delete(&mut work, client, id).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn location_changes(
        &self,
        of: Partitions,
        limit: u32,
    ) -> StoreResult<Vec<LocationChange>> {
        let mut connection = self.read().await?;
        locations::changes(&mut connection, &of, limit).await
    }

    async fn forget_location_changes(&self, numbers: Vec<i64>) -> StoreResult<()> {
        let mut work = self.write().await?;
        locations::forget_changes(&mut work, numbers).await?;
        work.commit().await
    }

    async fn save_tariff(&self, client: ClientId, tariff: Tariff) -> StoreResult<()> {
        let mut work = self.write().await?;
        tariffs::save(&mut work, client, &tariff).await?;
        work.commit().await
    }

    async fn find_tariff(&self, client: ClientId, id: TariffId) -> StoreResult<Option<Tariff>> {
        let mut connection = self.read().await?;
        tariffs::find(&mut connection, client, &id).await
    }

    async fn hang_tariff(&self, client: ClientId, hung: LocationTariff) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let done = tariffs::hang(&mut work, client, &hung).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn location_prices(
        &self,
        client: ClientId,
        id: LocationId,
    ) -> StoreResult<Option<LocationPrices>> {
        let mut connection = self.snapshot().await?;
        tariffs::prices(&mut connection, client, id).await
    }

    async fn set_location_pricing(
        &self,
        client: ClientId,
        id: LocationId,
        pricing: LocationPricing,
    ) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let done = tariffs::set_pricing(&mut work, client, id, &pricing).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn client_currency(&self, client: ClientId) -> StoreResult<Option<Currency>> {
        let mut connection = self.read().await?;
        tariffs::client_currency(&mut connection, client).await
    }

    async fn set_client_currency(
        &self,
        client: ClientId,
        currency: Option<Currency>,
    ) -> StoreResult<()> {
        let mut work = self.write().await?;
        tariffs::set_client_currency(&mut work, client, currency).await?;
        work.commit().await
    }

    async fn save_market_prices(&self, upload: MarketUpload) -> StoreResult<()> {
        let mut work = self.write().await?;
        tariffs::save_market(&mut work, &upload).await?;
        work.commit().await
    }

    async fn market_prices(
        &self,
        client: ClientId,
        area: String,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<MarketPrice>> {
        let mut connection = self.read().await?;
        tariffs::market(&mut connection, client, &area, from, to).await
    }

    async fn take_fences(&self) -> StoreResult<Fences> {
        let mut work = self.write().await?;
        let done = fences::take_all(&mut work).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn commit(&self, unit: UnitOfWork) -> StoreResult<Option<Position>> {
        self.committers.commit(unit).await
    }

    async fn flush_presence(&self, flush: PresenceFlush) -> StoreResult<()> {
        let (pieces, sums) = flush::pieces(flush);
        for piece in pieces.into_iter().chain([sums]) {
            if !piece.is_empty() {
                let mut work = self.write().await?;
                presence::flush(&mut work, &piece).await?;
                work.commit().await?;
            }
        }
        Ok(())
    }

    async fn budget_usage(&self, of: Partitions) -> StoreResult<Vec<BudgetUsage>> {
        let mut connection = self.read().await?;
        presence::budget_usage(&mut connection, &of).await
    }

    async fn lost_devices(&self, of: Partitions) -> StoreResult<Vec<LostDevice>> {
        let mut connection = self.read().await?;
        fleet::lost_devices(&mut connection, &of).await
    }

    async fn age_state(&self, of: Partitions) -> StoreResult<AgeState> {
        let mut connection = self.read().await?;
        ages::state(&mut connection, &of).await
    }

    async fn age_hours(&self, query: AgeQuery) -> StoreResult<Vec<AgeHour>> {
        let mut connection = self.read().await?;
        ages::hours(&mut connection, &query).await
    }

    async fn breaches(&self, query: AgeQuery, limit: u32) -> StoreResult<BreachList> {
        let mut connection = self.read().await?;
        ages::breaches(&mut connection, &query, limit).await
    }

    async fn history_piece(&self, device: DeviceId, from: Timestamp) -> StoreResult<Piece> {
        let mut connection = self.read().await?;
        energy::piece(&mut connection, device, from).await
    }

    async fn devices_with_history(
        &self,
        client: ClientId,
        user: UserId,
        kind: DeviceKind,
    ) -> StoreResult<Vec<DeviceId>> {
        let mut connection = self.read().await?;
        energy::devices(&mut connection, client, &user, kind).await
    }

    async fn quarters(
        &self,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<Quarter>> {
        let mut connection = self.read().await?;
        energy::quarters(&mut connection, &devices, from, to).await
    }

    async fn stays(
        &self,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<(DeviceId, Stay)>> {
        let mut connection = self.read().await?;
        energy::stays(&mut connection, &devices, from, to).await
    }

    async fn charging_sessions(
        &self,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<(DeviceId, ChargingSession)>> {
        let mut connection = self.read().await?;
        energy::sessions(&mut connection, &devices, from, to).await
    }

    async fn find_charging_session(
        &self,
        client: ClientId,
        id: ChargingSessionId,
    ) -> StoreResult<Option<(DeviceId, ChargingSession)>> {
        let mut connection = self.read().await?;
        energy::find_session(&mut connection, client, id).await
    }

    async fn productions_due(
        &self,
        integration: String,
        of: Partitions,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<ProductionDue>> {
        let mut connection = self.read().await?;
        production::due(&mut connection, integration, &of, now, limit).await
    }

    async fn next_production(&self, device: DeviceId) -> StoreResult<Option<Timestamp>> {
        let mut connection = self.read().await?;
        production::next(&mut connection, device).await
    }

    async fn known_productions(&self, device: DeviceId, from: Period) -> StoreResult<Vec<Known>> {
        let mut connection = self.read().await?;
        production::known(&mut connection, device, from).await
    }

    async fn production(
        &self,
        device: DeviceId,
        period: Period,
    ) -> StoreResult<Option<Production>> {
        let mut connection = self.read().await?;
        production::find(&mut connection, device, period).await
    }

    async fn prune_samples(&self, keep_from: Timestamp) -> StoreResult<()> {
        self.context.sample_days.forget();
        sample_days::drop_before(&self.context.pool, keep_from).await
    }

    async fn events_after(&self, query: LogQuery) -> StoreResult<LogPage> {
        let mut connection = self.read().await?;
        log::events_after(&mut connection, &query).await
    }

    async fn last_position(&self, client: ClientId) -> StoreResult<Position> {
        let mut connection = self.read().await?;
        log::last_position(&mut connection, client).await
    }

    async fn count_events_after(
        &self,
        client: ClientId,
        after: Position,
        limit: u32,
    ) -> StoreResult<u32> {
        let mut connection = self.read().await?;
        log::count_after(&mut connection, client, after, limit).await
    }

    async fn newest_event_at(&self) -> StoreResult<Option<Timestamp>> {
        let mut connection = self.read().await?;
        log::newest_event_at(&mut connection).await
    }

    async fn prune(&self, keep_from: Timestamp, now: Timestamp) -> StoreResult<u32> {
        let mut dropped = 0;
        loop {
            let mut work = self.write().await?;
            if !slices::drop_oldest(&mut work, keep_from, now).await? {
                break;
            }
            work.commit().await?;
            dropped += 1;
        }
        slices::clear_away(&self.context.pool).await?;
        let mut work = self.write().await?;
        operation::forget_before(&mut work, keep_from).await?;
        ages::forget_before(&mut work, keep_from).await?;
        work.commit().await?;
        Ok(dropped)
    }

    async fn create_webhook(&self, webhook: Webhook, cursor: Position) -> StoreResult<()> {
        let mut work = self.write().await?;
        webhooks::create(&mut work, &webhook, cursor).await?;
        work.commit().await
    }

    async fn list_webhooks(
        &self,
        client: ClientId,
        page: PageRequest,
    ) -> StoreResult<Page<Webhook>> {
        let mut connection = self.read().await?;
        webhooks::list(&mut connection, client, &page).await
    }

    async fn find_webhook(&self, client: ClientId, id: WebhookId) -> StoreResult<Option<Webhook>> {
        let mut connection = self.read().await?;
        webhooks::find(&mut connection, client, id).await
    }

    async fn update_webhook(&self, webhook: Webhook) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let done = webhooks::update(&mut work, &webhook).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn delete_webhook(&self, client: ClientId, id: WebhookId) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let done = webhooks::delete(&mut work, client, id).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn active_webhooks(&self) -> StoreResult<Vec<(Webhook, Vec<Lane>)>> {
        let mut connection = self.read().await?;
        webhooks::active(&mut connection).await
    }

    async fn lanes(&self, id: WebhookId) -> StoreResult<Vec<Lane>> {
        let mut connection = self.read().await?;
        webhooks::lanes(&mut connection, id).await
    }

    async fn save_lane(&self, step: LaneStep) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let done = webhooks::save_lane(&mut work, &step).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn delivery_attempts(
        &self,
        id: WebhookId,
        limit: u32,
    ) -> StoreResult<Vec<DeliveryAttempt>> {
        let mut connection = self.read().await?;
        webhooks::attempts(&mut connection, id, limit).await
    }

    async fn skip_positions(&self) -> StoreResult<()> {
        let mut work = self.write().await?;
        log::skip_positions(&mut work).await?;
        work.commit().await
    }

    async fn exports_behind(&self, sink: String) -> StoreResult<Vec<ExportBehind>> {
        let mut connection = self.read().await?;
        exports::behind(&mut connection, &sink).await
    }

    async fn save_export(&self, step: ExportStep) -> StoreResult<bool> {
        let mut work = self.write().await?;
        let done = exports::save(&mut work, &step).await?;
        work.commit().await?;
        Ok(done)
    }

    async fn check(&self) -> StoreResult<()> {
        operation::check_reading(&mut *self.read().await?).await?;
        let mut work = self.write().await?;
        operation::check_writing(&mut work).await?;
        work.commit().await
    }

    async fn figures(&self) -> StoreResult<StoreFigures> {
        let mut connection = self.read().await?;
        operation::figures(&mut connection).await
    }

    async fn remember(&self, name: String, value: String) -> StoreResult<String> {
        let mut work = self.write().await?;
        let done = operation::remember(&mut work, &name, &value).await?;
        work.commit().await?;
        Ok(done)
    }
}
