//! Who may see what: every operation of the table, tried by strangers.

use livewatt_api::{Auth, operations};

use super::{answer, assert_problem, neighbours, paths, picture, raw};
use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_strangers() {
    let world = World::new().await;
    neighbours(&world).await;
    let webhook = world.subscribe().await;
    let before = picture(&world.api).await;
    for operation in operations() {
        for path in paths(&world, &operation, &webhook).await {
            for token in [None, Some("nonsense"), Some(""), Some("a b")] {
                let mut request = raw(&world, &operation.method, &path);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let (status, body) = answer(request.body("{}")).await;
                let what = format!("{} {token:?}: {status} {body}", operation.id);
                match operation.auth {
                    Auth::Bearer => {
                        assert_eq!(status, 401, "{what}");
                        assert_problem(&body, "unauthorized");
                    }
                    Auth::Basic | Auth::Signature => {
                        assert!((400..=426).contains(&status), "{what}")
                    }
                    Auth::Optional | Auth::None => assert!((200..300).contains(&status), "{what}"),
                }
            }
        }
    }
    assert_eq!(picture(&world.api).await, before);
    world.shut_down().await;
}
