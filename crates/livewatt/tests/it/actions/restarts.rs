//! Servers that end in the middle of an action.

use livewatt_domain::SignedDuration;
use livewatt_sandbox::{Cloud, FaultKind, FaultSpec};

use super::{Asset, charging, commands, fault, minutes, seconds};
use crate::support::eventually;

/// Nothing is forgotten, and nothing is sent anew before its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_pending_action_outlives_a_restart() {
    let (world, account) = charging(Cloud::Volta).await;
    fault(
        &world,
        Cloud::Volta,
        FaultKind::CommandSlow { seconds: 120 },
    )
    .await;
    let stop = {
        let car = Asset::only(&world, "vehicles").await;
        let stop = car.stop().await;
        world.step().await;
        stop
    };
    assert_eq!(commands(&world, &account), 1);
    let world = world.restart(seconds(5), |_| {}).await;
    world.step().await;
    assert_eq!(commands(&world, &account), 1, "it was sent 15 s ago");
    let car = Asset::only(&world, "vehicles").await;
    let (ended, _) = car.settled(&stop, minutes(6)).await;
    assert_eq!(ended["state"], "CONFIRMED", "{ended:#}");
    assert_eq!(car.power().await, "PLUGGED_IN:STOPPED");
    world.shut_down().await;
}

/// A server that ends while a command is under way cannot know whether it was taken: the next one
/// waits until it must be over.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_under_way_is_not_sent_a_second_time() {
    let (world, account) = charging(Cloud::Volta).await;
    let hang = FaultSpec::new(FaultKind::Hang { seconds: None }).endpoints(&["command"]);
    world.sandbox.add_fault(Cloud::Volta, hang).await.unwrap();
    let stop = Asset::only(&world, "vehicles").await.stop().await;
    let engine = world.engine().clone();
    let sending = tokio::spawn(async move { engine.act_due().await });
    eventually("the command is under way", async || {
        commands(&world, &account) == 1
    })
    .await;
    sending.abort();
    assert!(sending.await.is_err(), "it hangs");
    let world = world.restart(seconds(1), |_| {}).await;
    // The cloud has not answered, and would not answer a second one either.
    for _ in 0..5 {
        let engine = world.engine().clone();
        let seeing = tokio::time::timeout(std::time::Duration::from_secs(2), engine.act_due());
        seeing.await.unwrap();
        world.clock.advance(SignedDuration::from_secs(10));
        assert_eq!(commands(&world, &account), 1);
    }
    // It was not taken: the cloud forgot it with the connection.
    world.sandbox.drop_all_faults().await;
    world.sandbox.set_now(world.now()).await.unwrap();
    let car = Asset::only(&world, "vehicles").await;
    let (ended, _) = car.settled(&stop, minutes(3)).await;
    assert_eq!(ended["state"], "CONFIRMED", "{ended:#}");
    assert!(commands(&world, &account) <= 2);
    world.shut_down().await;
}
