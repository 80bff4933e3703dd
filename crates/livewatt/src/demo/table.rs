//! The devices of a client, as lines in the terminal.

use std::time::Duration;

use livewatt_domain::{Timestamp, device::Device, id::ClientId, kind::DeviceKind};
use livewatt_engine::Engine;
use livewatt_store::{PageFrom, PageRequest};
use serde_json::Value;

use crate::terminal::say;

/// Prints the devices every ten seconds, for ever.
pub(super) async fn print_now_and_then(engine: &Engine, client: ClientId) {
    let mut ticks = tokio::time::interval(Duration::from_secs(10));
    loop {
        ticks.tick().await;
        if let Err(error) = print(engine, client).await {
            tracing::error!(error = %livewatt_engine::error::chain(&error), "devices not listed");
        }
    }
}

async fn print(engine: &Engine, client: ClientId) -> livewatt_engine::EngineResult<()> {
    let now = engine.now();
    for kind in DeviceKind::ALL {
        let page = PageRequest {
            from: PageFrom::Start,
            size: 20,
        };
        for device in engine.list_devices(client, None, kind, page).await?.items {
            say(&line(&device, now));
        }
    }
    Ok(())
}

fn line(device: &Device, now: Timestamp) -> String {
    let document = device.current_document();
    let value = |path: &str| document.path(path).unwrap_or(&Value::Null).to_string();
    let shown = match device.kind() {
        DeviceKind::Vehicle => format!(
            "{}  {} %  {} kW",
            value("chargeState.powerDeliveryState"),
            value("chargeState.batteryLevel"),
            value("chargeState.chargeRate"),
        ),
        DeviceKind::Charger => format!(
            "{}  {} kW",
            value("chargeState.powerDeliveryState"),
            value("chargeState.chargeRate"),
        ),
        DeviceKind::Hvac => format!(
            "{}  {} °C  {} kW",
            value("thermostatState.mode"),
            value("temperatureState.currentTemperature"),
            value("consumptionRate"),
        ),
        DeviceKind::Inverter => format!("{} kW", value("productionState.productionRate")),
        DeviceKind::Battery => format!(
            "{}  {} %  {} kW",
            value("chargeState.status"),
            value("chargeState.batteryLevel"),
            value("chargeState.chargeRate"),
        ),
        DeviceKind::Meter => format!("{} kW", value("energyState.power")),
    };
    let age = now.duration_since(device.last_seen).as_secs();
    format!(
        "{:<9} {:<10} seen {age:>4} s ago  {shown}",
        device.kind().name(),
        device.vendor.as_str()
    )
}
