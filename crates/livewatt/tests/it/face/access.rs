//! Who may see what: every operation of the table, tried by strangers.

use livewatt_api::{Auth, Content, operations};
use serde_json::json;

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

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_shows_or_touches_what_is_another_clients() {
    let world = World::new().await;
    neighbours(&world).await;
    let webhook = world.subscribe().await;
    let before = picture(&world.api).await;
    let stranger = world.other_client(None).await;
    for operation in operations()
        .into_iter()
        .filter(|row| row.auth == Auth::Bearer)
    {
        // A stream of nothing never ends; and a user's name is each client's own.
        let is_stream = operation
            .answers
            .iter()
            .any(|answer| answer.content == Content::Events);
        if is_stream || operation.id == "postUsersUseridLink" {
            continue;
        }
        let path = paths(&world, &operation, &webhook).await.remove(0);
        let body = match operation.id {
            "postAssetsAssetidRelink" => {
                Some(json!({ "language": "en-US", "redirectUri": "app://done" }))
            }
            "createWebhook" => continue,
            _ => (operation.body != Content::Empty).then(|| json!({})),
        };
        let answer = stranger.call(operation.method.clone(), &path, body).await;
        let is_list = operation.query.iter().any(|query| query.name == "after");
        match operation.id {
            _ if is_list => assert_eq!(answer.expect_status(200)["data"], json!([]), "{path}"),
            "postAssetsAssetidRelink" => assert_problem(&answer.expect_status(400), "bad-request"),
            _ => assert_problem(&answer.expect_status(404), "not-found"),
        }
    }
    assert_eq!(picture(&world.api).await, before);
    let of_nobody = world
        .api
        .get("/users/nobody/vehicles")
        .await
        .expect_status(200);
    assert_eq!(of_nobody["data"], json!([]));
    world.shut_down().await;
}
