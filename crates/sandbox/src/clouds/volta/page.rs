//! Volta's pages: a login that works without scripts and on a phone.

use crate::{clouds::volta::oauth::Ask, config::OAuthClient};

/// The login page.
pub(crate) fn login(
    client: &OAuthClient,
    ask: &Ask,
    email: &str,
    users: &[(String, String)],
    sorry: Option<&str>,
) -> String {
    let hidden = [
        ("response_type", &ask.response_type),
        ("client_id", &ask.client_id),
        ("redirect_uri", &ask.redirect_uri),
        ("state", &ask.state),
        ("code_challenge", &ask.code_challenge),
        ("code_challenge_method", &ask.code_challenge_method),
        ("scope", &ask.scope),
    ]
    .map(|(name, value)| {
        format!(
            r#"<input type="hidden" name="{name}" value="{}">"#,
            escape(value)
        )
    })
    .concat();
    let sorry = sorry
        .map(|text| format!(r#"<p class="sorry" role="alert">{}</p>"#, escape(text)))
        .unwrap_or_default();
    let users = users
        .iter()
        .map(|(name, password)| {
            format!(
                "<li><code>{}</code> / <code>{}</code></li>",
                escape(name),
                escape(password)
            )
        })
        .collect::<String>();
    let hint = if users.is_empty() {
        String::new()
    } else {
        format!("<aside>This cloud is a sandbox. You may log in as:<ul>{users}</ul></aside>")
    };
    let (app, email) = (escape(&client.name), escape(email));
    frame(
        "Log in",
        &format!(
            r#"<h1>Log in to Volta</h1>
<p><strong>{app}</strong> would like to see your cars and chargers, and to control charging.</p>
{sorry}
<form method="post" action="authorize">
{hidden}
<label>E-mail<input type="email" name="email" value="{email}" autocomplete="username" required autofocus></label>
<label>Password<input type="password" name="password" autocomplete="current-password" required></label>
<button type="submit" name="decision" value="allow">Allow</button>
<button type="submit" name="decision" value="deny" class="quiet" formnovalidate>Deny</button>
</form>
{hint}"#
        ),
    )
}

/// A page that says why there is nothing to log in to.
pub(crate) fn error(why: &str) -> String {
    frame(
        "Cannot log in",
        &format!("<h1>Cannot log in</h1><p>{}</p>", escape(why)),
    )
}

/// The sandbox's front page.
pub(crate) fn front(accounts: &[(&'static str, String, String)]) -> String {
    let rows = accounts
        .iter()
        .map(|(cloud, name, password)| {
            let (name, password) = (escape(name), escape(password));
            format!("<li>{cloud}: <code>{name}</code> / <code>{password}</code></li>")
        })
        .collect::<String>();
    frame(
        "Sandbox",
        &format!(
            "<h1>Vendor clouds that run</h1><p>Three sandbox clouds are served here, under \
             <code>/volta</code>, <code>/rivoli</code> and <code>/helios</code>, and a control API \
             under <code>/control</code>.</p><aside>Accounts:<ul>{rows}</ul></aside>"
        ),
    )
}

fn frame(title: &str, content: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – Volta</title>
<style>{STYLE}</style>
</head>
<body><main><div class="brand">⚡ volta</div>{content}</main></body>
</html>"#
    )
}

const STYLE: &str = "
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:#eef2f7;
color:#16202c;font:16px/1.5 system-ui,sans-serif}
main{width:100%;max-width:25rem;background:#fff;border-radius:16px;padding:1.75rem;
box-shadow:0 8px 30px rgba(20,40,80,.12)}
.brand{font-weight:700;letter-spacing:.04em;color:#0b6b4f}
h1{font-size:1.4rem;margin:.6rem 0 .4rem}
label{display:block;margin:.9rem 0 0;font-size:.9rem;color:#475569}
input{display:block;width:100%;margin-top:.25rem;padding:.7rem;font:inherit;color:inherit;
background:transparent;border:1px solid #9aa8ba;border-radius:10px}
button{width:100%;margin-top:1rem;padding:.8rem;font:inherit;font-weight:600;border:0;border-radius:10px;
background:#0b6b4f;color:#fff;cursor:pointer}
button.quiet{margin-top:.5rem;background:transparent;color:inherit;border:1px solid #9aa8ba}
.sorry{background:#fdecec;color:#8f1d1d;padding:.6rem .8rem;border-radius:10px}
aside{margin-top:1.4rem;padding-top:1rem;border-top:1px solid #dbe2ea;font-size:.9rem;color:#475569}
ul{margin:.3rem 0 0;padding-left:1.2rem;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{background:#0e141b;color:#e6edf5}main{background:#17202b}
label,aside{color:#a9b6c6}.brand{color:#4fd1a5}aside{border-color:#2b3846}}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_escapes_what_it_is_given() {
        let ask = Ask {
            state: r#""><script>"#.into(),
            ..Ask::default()
        };
        let page = login(&OAuthClient::default(), &ask, "<b>", &[], None);
        assert!(!page.contains("<script>") && !page.contains("<b>"));
    }
}
