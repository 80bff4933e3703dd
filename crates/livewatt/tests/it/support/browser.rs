//! A browser that keeps one cookie: enough for the pages of linking.

use std::sync::Mutex;

use reqwest::{Method, header};

/// A page, or where it leads.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub location: Option<String>,
    pub text: String,
}

impl Page {
    /// The names of the fields that are to be filled in.
    pub fn fields(&self) -> Vec<String> {
        let fields = self.text.split("<input id=\"field-").skip(1);
        fields
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    }
}

#[derive(Debug, Default)]
pub struct Browser {
    cookie: Mutex<Option<String>>,
    /// All that was shown.
    pub shown: Mutex<Vec<String>>,
}

impl Browser {
    pub async fn get(&self, url: &str) -> Page {
        self.call(Method::GET, url, &[]).await
    }

    /// Sends a form, with the hidden code of the page that it is on.
    pub async fn submit(&self, url: &str, page: &Page, fields: &[(&str, &str)]) -> Page {
        let code = between(&page.text, "name=\"code\" value=\"", "\"").to_owned();
        let mut fields = fields.to_vec();
        fields.push(("code", &code));
        self.call(Method::POST, url, &fields).await
    }

    pub async fn call(&self, method: Method, url: &str, fields: &[(&str, &str)]) -> Page {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let mut request = client.request(method.clone(), url);
        if method == Method::POST {
            request = request.form(fields);
        }
        if let Some(cookie) = &*self.cookie.lock().unwrap() {
            request = request.header(header::COOKIE, cookie);
        }
        let answer = request.send().await.unwrap();
        if let Some(cookie) = answer.headers().get(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            *self.cookie.lock().unwrap() = Some(pair.to_owned());
        }
        let location = answer.headers().get(header::LOCATION);
        let page = Page {
            location: location.map(|value| value.to_str().unwrap().to_owned()),
            status: answer.status().as_u16(),
            text: answer.text().await.unwrap(),
        };
        self.shown.lock().unwrap().push(page.text.clone());
        page
    }
}

impl Browser {
    /// Agrees to a link session and chooses the first brand of an integration; says where to sign
    /// in.
    pub async fn choose(&self, link: &str, integration: &str) -> String {
        let page = self.get(link).await;
        self.submit(&format!("{link}/consent"), &page, &[]).await;
        let page = self.get(&format!("{link}/vendor")).await;
        let brand = between(&page.text, &format!("value=\"{integration}/"), "\"");
        let choice = format!("{integration}/{brand}");
        let chosen = format!("{link}/vendor");
        self.submit(&chosen, &page, &[("choice", &choice)]).await;
        format!("{link}/sign-in")
    }
}

/// What stands between two texts.
#[track_caller]
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before);
    let (_, rest) = rest.unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0
}
