//! Connections of the HTTP server.
//!
//! Whoever connects has to say what they want in time, so that a caller who sends a
//! header a minute, or nothing at all, does not hold a connection for ever. A connection that
//! cannot be accepted, say for want of file descriptors, costs the others nothing but a moment.

use std::{net::SocketAddr, pin::pin, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::server::conn::http1::Builder;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// Longest time for the head of a request to arrive, and for the next request to follow.
pub(crate) const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Rest after a connection could not be accepted.
const REST: Duration = Duration::from_millis(200);

/// Serves `listener` until `stop`, and then until the requests under way are answered.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    patience: Duration,
) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(connection(stream, peer, router, stop, patience));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
    patience: Duration,
) {
    // Answers are small and complete: waiting for more to send would only make them late.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection has no low delay");
    }
    let service = router.map_request(move |mut request: Request<_>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(Body::new)
    });
    // HTTP/2 is for the proxy that ends TLS; telling the two apart would wait without end.
    let served = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn heads_that_do_not_come_end_the_connection() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new().route(
            "/",
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()),
        );
        let patience = Duration::from_millis(300);
        let served = tokio::spawn(serve(listener, router, stop.clone(), patience));
        for (sent, wanted) in [
            (&b""[..], ""),
            (b"GET / HTTP/1.1\r\nhost: a\r\n", ""),
            (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "127.0.0.1"),
        ] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(sent).await.unwrap();
            let mut said = String::new();
            // A head that is not finished, or a next one that does not come: the end either way.
            let read = socket.read_to_string(&mut said);
            let ended = tokio::time::timeout(Duration::from_secs(20), read).await;
            ended
                .unwrap_or_else(|_| panic!("the connection is held: {sent:?}"))
                .unwrap();
            assert!(said.ends_with(wanted), "{said}");
        }
        stop.cancel();
        served.await.unwrap();
    }
}
