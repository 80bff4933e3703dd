//! A router on a free port of this machine, for as long as it is held.

use std::net::SocketAddr;

use axum::Router;
use tokio_util::task::AbortOnDropHandle;

use crate::serve::bind;

#[derive(Debug)]
pub(super) struct Served {
    pub(super) address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Served {
    pub(super) async fn start(router: Router) -> anyhow::Result<Self> {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "a server of the bench failed");
            }
        });
        Ok(Self {
            address,
            _task: AbortOnDropHandle::new(task),
        })
    }
}
