//! A person who links an account through the pages, without a browser.

use livewatt_sandbox::AccountInfo;
use reqwest::{Client, Method, Response, header};
use url::Url;

/// Why the walk ended early: the server was gone, or a page was not the one expected.
pub type Stopped = String;

/// Somebody with a cookie.
pub struct Person {
    http: Client,
    cookie: Option<String>,
}

struct Page {
    url: Url,
    body: String,
}

impl Page {
    /// The value of an attribute of the first element that holds `mark`.
    fn attribute(&self, mark: &str, name: &str) -> Result<String, Stopped> {
        let missing = || format!("no {mark} on {}: {}", self.url.path(), self.body);
        let element = self
            .body
            .split('<')
            .find(|element| element.contains(mark))
            .ok_or_else(missing)?;
        let (_, rest) = element
            .split_once(&format!(" {name}=\""))
            .ok_or_else(missing)?;
        let value = rest.split('"').next().unwrap_or_default();
        Ok(value.replace("&amp;", "&").replace("&#38;", "&"))
    }
}

impl Person {
    pub fn new() -> Self {
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { http, cookie: None }
    }

    /// Links an account: agrees, signs in with the vendor, comes back. `at_the_end` is called before
    /// the last request, the one that completes the link.
    pub async fn link(
        mut self,
        link_url: &str,
        account: &AccountInfo,
        at_the_end: impl FnOnce(),
    ) -> Result<(), Stopped> {
        let url = Url::parse(link_url).map_err(|error| error.to_string())?;
        let consent = self.go(Method::GET, url, &[]).await?;
        let page = self.submit(&consent, &[]).await?;
        let done = if page.body.contains("type=\"password\"") {
            let user = page.attribute("id=\"field-", "name")?;
            let (user, password) = (user.as_str(), "password");
            let fields = [
                (user, account.username.as_str()),
                (password, account.password.as_str()),
            ];
            at_the_end();
            self.submit(&page, &fields).await?
        } else {
            let login = page.attribute("class=\"button\"", "href")?;
            let back = self.sign_in(&login, account).await?;
            at_the_end();
            self.go(Method::GET, back, &[]).await?
        };
        match done.body.contains("/return\"") {
            true => Ok(()),
            false => Err(format!("not linked: {}", done.body)),
        }
    }

    /// Fills in the vendor's own login page; returns where it leads back to.
    async fn sign_in(&self, login: &str, account: &AccountInfo) -> Result<Url, Stopped> {
        let mut url = Url::parse(login).map_err(|error| format!("{login}: {error}"))?;
        let mut form: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        for (name, value) in [
            ("email", account.username.as_str()),
            ("password", &account.password),
            ("decision", "allow"),
        ] {
            form.push((name.to_owned(), value.to_owned()));
        }
        url.set_query(None);
        let answer = self.http.post(url).form(&form).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let back = location(&answer).ok_or("the vendor leads nowhere")?;
        Url::parse(&back).map_err(|error| error.to_string())
    }

    async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Result<Page, Stopped> {
        let code = page.attribute("name=\"code\"", "value")?;
        let action = page.attribute("method=\"post\"", "action")?;
        let url = page.url.join(&action).map_err(|error| error.to_string())?;
        let mut form = vec![("code", code.as_str())];
        form.extend(fields);
        self.go(Method::POST, url, &form).await
    }

    async fn go(
        &mut self,
        mut method: Method,
        mut url: Url,
        form: &[(&str, &str)],
    ) -> Result<Page, Stopped> {
        loop {
            let mut request = self.http.request(method.clone(), url.clone());
            if method == Method::POST {
                request = request.form(form);
            }
            if let Some(cookie) = &self.cookie {
                request = request.header(header::COOKIE, cookie);
            }
            let answer = request.send().await.map_err(|error| error.to_string())?;
            if let Some(cookie) = answer.headers().get(header::SET_COOKIE) {
                let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                self.cookie = Some(pair.to_owned());
            }
            if let Some(next) = location(&answer) {
                url = url.join(&next).map_err(|error| error.to_string())?;
                method = Method::GET;
                continue;
            }
            let status = answer.status();
            let body = answer.text().await.map_err(|error| error.to_string())?;
            return match status.is_success() {
                true => Ok(Page { url, body }),
                false => Err(format!("{} answered {status}: {body}", url.path())),
            };
        }
    }
}

fn location(answer: &Response) -> Option<String> {
    let value = answer.headers().get(header::LOCATION)?;
    Some(value.to_str().unwrap().to_owned())
}
