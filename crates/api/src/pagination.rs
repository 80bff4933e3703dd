//! Pages of lists: opaque cursors on the wire, keys of rows inside.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use livewatt_domain::{id::DeviceId, time::wire, webhook::Position};
use livewatt_store::{Page, PageFrom, PageKey, PageRequest};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{error::ApiError, extract::QueryArgs, json_text::JsonText};

/// Largest page.
pub(crate) const MAX_PAGE_SIZE: u32 = 500;
/// Size of a page if none is asked for.
pub(crate) const DEFAULT_PAGE_SIZE: u32 = 50;
/// Longest cursor we ever make, and then some.
const MAX_CURSOR: usize = 1024;

/// A page of a list, newest first.
#[derive(Debug, Serialize)]
pub(crate) struct Paginated<T> {
    pub(crate) data: Vec<T>,
    pub(crate) pagination: PaginationCursors,
}

/// Where to go on reading.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaginationCursors {
    /// For the next page (older records).
    pub(crate) after: Option<String>,
    /// For the previous page (newer records).
    pub(crate) before: Option<String>,
}

impl<T> From<Page<T>> for Paginated<T> {
    fn from(page: Page<T>) -> Self {
        Self {
            data: page.items,
            pagination: PaginationCursors {
                after: page.older.as_ref().map(encode),
                before: page.newer.as_ref().map(encode),
            },
        }
    }
}

/// The same of records whose JSON is text already.
impl From<Page<String>> for JsonText {
    fn from(page: Page<String>) -> Self {
        let key = |key: Option<PageKey>| Value::from(key.as_ref().map(encode));
        let (after, before) = (key(page.older), key(page.newer));
        let records: usize = page.items.iter().map(|record| record.len() + 1).sum();
        let mut text = String::with_capacity(records + 512);
        text.push_str("{\"data\":[");
        for (index, record) in page.items.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(record);
        }
        text.push_str("],\"pagination\":{\"after\":");
        text.push_str(&after.to_string());
        text.push_str(",\"before\":");
        text.push_str(&before.to_string());
        text.push_str("}}");
        Self(text)
    }
}

/// The page asked for by `after`, `before` and `pageSize`.
#[derive(Debug)]
pub(crate) struct PageArgs(pub(crate) PageRequest);

impl<S: Send + Sync> FromRequestParts<S> for PageArgs {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let args = QueryArgs::of(parts);
        let key = |name: &'static str| {
            args.one(name)?
                .map(|text| decode(&text).ok_or_else(|| bad_cursor(name)))
                .transpose()
        };
        let from = match (key("after")?, key("before")?) {
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid(
                    "before",
                    "must not be given together with after",
                ));
            }
            (Some(key), None) => PageFrom::After(key),
            (None, Some(key)) => PageFrom::Before(key),
            (None, None) => PageFrom::Start,
        };
        Ok(Self(PageRequest {
            from,
            size: page_size(&args)?,
        }))
    }
}

impl PageArgs {
    /// The page of a list whose rows have IDs that we made: the cursor of a list of users, whose
    /// IDs are whatever their customer likes, is none of it.
    pub(crate) fn by_id(self) -> Result<PageRequest, ApiError> {
        let (name, key) = match &self.0.from {
            PageFrom::Start => return Ok(self.0),
            PageFrom::After(key) => ("after", key),
            PageFrom::Before(key) => ("before", key),
        };
        match key.id.parse::<DeviceId>() {
            Ok(_) => Ok(self.0),
            Err(_) => Err(bad_cursor(name)),
        }
    }
}

/// The `pageSize` of a request.
pub(crate) fn page_size(args: &QueryArgs) -> Result<u32, ApiError> {
    let Some(text) = args.one("pageSize")? else {
        return Ok(DEFAULT_PAGE_SIZE);
    };
    match text.parse() {
        Ok(size) if (1..=MAX_PAGE_SIZE).contains(&size) => Ok(size),
        _ => Err(ApiError::invalid(
            "pageSize",
            format!("must be a whole number from 1 to {MAX_PAGE_SIZE}"),
        )),
    }
}

fn bad_cursor(name: &'static str) -> ApiError {
    ApiError::invalid(name, "is not a cursor of this list")
}

fn encode(key: &PageKey) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{}~{}", wire(key.at), key.id))
}

fn decode(text: &str) -> Option<PageKey> {
    let bytes = plain(text)?;
    let (at, id) = bytes.split_once('~')?;
    // No ID has control characters, and not every database can be asked about them.
    (!id.is_empty() && !id.contains(char::is_control)).then_some(())?;
    Some(PageKey {
        at: at.parse().ok()?,
        id: id.to_owned(),
    })
}

/// The cursor of a position in the event log.
pub(crate) fn encode_position(position: Position) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("event:{}", position.0))
}

/// The position of a cursor; `name` is the parameter it came in.
pub(crate) fn decode_position(text: &str, name: &'static str) -> Result<Position, ApiError> {
    plain(text)
        .and_then(|text| text.strip_prefix("event:")?.parse().ok())
        .filter(|position| *position >= 0)
        .map(Position)
        .ok_or_else(|| bad_cursor(name))
}

fn plain(text: &str) -> Option<String> {
    if text.len() > MAX_CURSOR {
        return None;
    }
    String::from_utf8(
        BASE64_URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .ok()?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn page(query: &str) -> Result<PageRequest, ApiError> {
        let (mut parts, ()) = Request::get(format!("/users?{query}"))
            .body(())
            .unwrap()
            .into_parts();
        PageArgs::from_request_parts(&mut parts, &())
            .await
            .map(|args| args.0)
    }

    fn field(error: ApiError) -> String {
        error.problem().1.issues[0].path.clone()
    }

    #[tokio::test]
    async fn cursors_come_back_as_they_went() {
        let key = PageKey {
            at: "2024-01-07T17:04:26.123Z".parse().unwrap(),
            id: "u~1/ü".into(),
        };
        let cursor = encode(&key);
        let request = page(&format!("after={cursor}&pageSize=7")).await.unwrap();
        assert_eq!(
            request,
            PageRequest {
                from: PageFrom::After(key.clone()),
                size: 7
            }
        );
        let request = page(&format!("before={cursor}")).await.unwrap();
        assert_eq!(
            request,
            PageRequest {
                from: PageFrom::Before(key),
                size: 50
            }
        );
        assert_eq!(page("").await.unwrap().from, PageFrom::Start);
    }

    #[test]
    fn pages_of_text_are_like_others() {
        let key = |id: &str| PageKey {
            at: "2024-01-07T17:04:26.123Z".parse().unwrap(),
            id: id.into(),
        };
        for (records, older, newer) in [
            (vec![], None, None),
            (vec![1], Some(key("1")), None),
            (vec![1, 2, 3], Some(key("3")), Some(key("1"))),
        ] {
            let page = Page {
                items: records,
                older,
                newer,
            };
            let text = JsonText::from(page.clone().map(|record: u8| record.to_string()));
            let expected = serde_json::to_string(&Paginated::from(page)).unwrap();
            assert_eq!(text.0, expected);
        }
    }

    #[tokio::test]
    async fn bad_pages_name_the_field() {
        for (query, expected) in [
            ("after=x", "after"),
            ("before=%00", "before"),
            ("after=", "after"),
            ("pageSize=0", "pageSize"),
            ("pageSize=501", "pageSize"),
            ("pageSize=-1", "pageSize"),
            ("pageSize=1.5", "pageSize"),
            ("pageSize=", "pageSize"),
            ("pageSize=1&pageSize=2", "pageSize"),
        ] {
            assert_eq!(field(page(query).await.unwrap_err()), expected, "{query}");
        }
        let cursor = encode(&PageKey {
            at: "2024-01-07T17:04:26Z".parse().unwrap(),
            id: "1".into(),
        });
        let both = page(&format!("after={cursor}&before={cursor}"))
            .await
            .unwrap_err();
        assert_eq!(field(both), "before");
    }

    #[test]
    fn positions_come_back_and_other_cursors_do_not() {
        let cursor = encode_position(Position(42));
        assert_eq!(decode_position(&cursor, "after").unwrap(), Position(42));
        for text in ["", "42", "!", &BASE64_URL_SAFE_NO_PAD.encode("event:-1")] {
            assert!(decode_position(text, "after").is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_cursor_comes_back(
            millis in -62_135_596_800_000..253_402_300_799_999_i64,
            id in "\\PC{1,128}",
            position in 0..i64::MAX,
        ) {
            let at = livewatt_domain::Timestamp::from_millisecond(millis).unwrap();
            let key = PageKey { at, id };
            proptest::prop_assert_eq!(decode(&encode(&key)), Some(key));
            let cursor = encode_position(Position(position));
            proptest::prop_assert_eq!(decode_position(&cursor, "after").unwrap(), Position(position));
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".{0,200}") {
            let _ = decode(&text);
            let _ = decode_position(&text, "after");
        }
    }
}
