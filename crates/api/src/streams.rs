//! How many event streams each client has open: every one of them reads the log again and again, so
//! a client that opens ever more, say a program that forgets to close them, is stopped at some point.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use livewatt_domain::id::ClientId;

use crate::error::{ApiError, ApiResult};

/// The streams that are open.
#[derive(Debug)]
pub(crate) struct Streams {
    most: usize,
    open: Mutex<HashMap<ClientId, usize>>,
}

/// A place for a stream, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct StreamPlace {
    streams: Arc<Streams>,
    client: ClientId,
}

impl Streams {
    /// None yet, and at most so many of a client.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            open: Mutex::default(),
        }
    }

    /// A place for another stream of a client, if it may have one.
    pub(crate) fn open(self: &Arc<Self>, client: ClientId) -> ApiResult<StreamPlace> {
        let mut open = self.lock();
        let count = open.entry(client).or_default();
        if *count >= self.most {
            return Err(ApiError::TooManyStreams(self.most));
        }
        *count += 1;
        Ok(StreamPlace {
            streams: self.clone(),
            client,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use livewatt_domain::{Timestamp, entropy::SeededEntropy};

    use super::*;

    #[test]
    fn each_client_has_so_many_places_and_gets_them_back() {
        let streams = Arc::new(Streams::new(2));
        let entropy = SeededEntropy::new(1);
        let [ann, bob] = [0, 1].map(|_| ClientId::new(Timestamp::UNIX_EPOCH, &entropy));
        let places = [0, 1].map(|_| streams.open(ann).unwrap());
        assert!(matches!(
            streams.open(ann),
            Err(ApiError::TooManyStreams(2))
        ));
        let _other = streams.open(bob).unwrap();
        drop(places);
        assert_eq!(streams.lock().len(), 1);
        streams.open(ann).unwrap();
    }
}
