//! The pages, a struct of what each shows.

use askama::Template;
use livewatt_domain::{
    kind::DeviceKind,
    scope::{Ability, Scope},
};
use livewatt_engine::link::LinkChoice;
use livewatt_vendors::{FormField, FormFieldKind};

use super::texts::Texts;

/// What every page of a session shows around its own content.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) t: &'static Texts,
    pub(super) base: String,
    /// Address of the session's first page; the others are below it.
    pub(super) here: String,
    pub(super) scheme: &'static str,
    pub(super) title: &'static str,
    pub(super) app: String,
    pub(super) brand: String,
    /// Seconds until a page below `here` is loaded, and which.
    pub(super) refresh: Option<(u32, &'static str)>,
}

impl Frame {
    /// A text with the names in it.
    fn say(&self, text: &str) -> String {
        text.replace("{app}", &self.app)
            .replace("{brand}", &self.brand)
    }
}

/// The introduction, with what is asked for.
#[derive(Template)]
#[template(path = "link/consent.html")]
pub(super) struct ConsentPage {
    pub(super) f: Frame,
    pub(super) code: String,
    pub(super) kinds: Vec<Asked>,
}

impl ConsentPage {
    /// Whether a scope is about changing things, which the page points out.
    fn is_control(&self, scope: &Scope) -> bool {
        scope.ability() == Ability::Control
    }
}

/// What is asked for, and what is not, of a kind of device.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) kind: DeviceKind,
    pub(super) granted: Vec<Scope>,
    pub(super) withheld: Vec<Scope>,
}

impl Asked {
    /// By kind, those whose data may be read.
    pub(super) fn of(kinds: &[DeviceKind], scopes: &[Scope]) -> Vec<Self> {
        let split = |kind: &DeviceKind| {
            let (granted, withheld) =
                Scope::of_kind(*kind).partition(|scope| scopes.contains(scope));
            Self {
                kind: *kind,
                granted,
                withheld,
            }
        };
        kinds.iter().map(split).collect()
    }
}

/// The choice of a brand.
#[derive(Template)]
#[template(path = "link/choose.html")]
pub(super) struct ChoosePage {
    pub(super) f: Frame,
    pub(super) code: String,
    pub(super) query: String,
    pub(super) kind: Option<DeviceKind>,
    pub(super) kinds: Vec<DeviceKind>,
    pub(super) choices: Vec<LinkChoice>,
    pub(super) is_filtered: bool,
}

impl ChoosePage {
    fn names(&self, kinds: &[DeviceKind]) -> String {
        kinds
            .iter()
            .map(|kind| self.f.t.kind(kind))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn is_chosen(&self, kind: &DeviceKind) -> bool {
        self.kind == Some(*kind)
    }
}

/// The way to the vendor's own page.
#[derive(Template)]
#[template(path = "link/redirect.html")]
pub(super) struct RedirectPage {
    pub(super) f: Frame,
    pub(super) url: String,
    pub(super) host: String,
}

/// A sign-in form.
#[derive(Template)]
#[template(path = "link/form.html")]
pub(super) struct FormPage {
    pub(super) f: Frame,
    pub(super) code: String,
    pub(super) fields: Vec<Field>,
    pub(super) problem: Option<String>,
}

/// A field of a sign-in form, with what was entered before.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) kind: &'static str,
    pub(super) autocomplete: &'static str,
    pub(super) value: String,
}

impl Field {
    pub(super) fn of(field: FormField, entered: Option<&String>) -> Self {
        let (kind, is_shown) = match field.kind {
            FormFieldKind::Text => ("text", true),
            FormFieldKind::Email => ("email", true),
            FormFieldKind::Password => ("password", false),
        };
        let value = entered.filter(|_| is_shown).cloned().unwrap_or_default();
        Self {
            name: field.name,
            label: field.label,
            kind,
            autocomplete: field.autocomplete,
            value,
        }
    }
}

/// What to enter in a device.
#[derive(Template)]
#[template(path = "link/device.html")]
pub(super) struct DevicePage {
    pub(super) f: Frame,
    pub(super) rows: Vec<(&'static str, String)>,
    pub(super) can_choose: bool,
}

/// The good end.
#[derive(Template)]
#[template(path = "link/done.html")]
pub(super) struct DonePage {
    pub(super) f: Frame,
}

/// A sign-in that did not work.
#[derive(Template)]
#[template(path = "link/failed.html")]
pub(super) struct FailedPage {
    pub(super) f: Frame,
    pub(super) text: &'static str,
    pub(super) can_choose: bool,
}

/// What is in the way, where there is no session to show a frame of.
#[derive(Template)]
#[template(path = "link/notice.html")]
pub(super) struct NoticePage<'a> {
    pub(super) t: &'static Texts,
    pub(super) base: &'a str,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) start: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::LinkTrouble, pages::link::texts::Language};

    fn frame(language: &str, title: fn(&Texts) -> &'static str) -> Frame {
        let t = Language::choose(language, None).texts();
        Frame {
            t,
            base: String::new(),
            here: "/link/tok".to_owned(),
            scheme: "dark",
            title: title(t),
            app: "<b>Sunny</b>".to_owned(),
            brand: "Acme & Co".to_owned(),
            refresh: None,
        }
    }

    fn check(html: &str, language: &str) {
        assert!(
            html.contains(&format!("<html lang=\"{language}\"")),
            "{html}"
        );
        assert!(html.contains("<h1"), "{html}");
        assert!(!html.contains("<b>Sunny"), "names are escaped: {html}");
        assert!(
            !html.contains("{app}") && !html.contains("{brand}"),
            "{html}"
        );
        assert!(
            !html.contains("<script") && !html.contains("style=\""),
            "{html}"
        );
    }

    fn choice() -> LinkChoice {
        LinkChoice {
            integration: "acme",
            vendor: "ACME",
            display_name: "Acme".to_owned(),
            portal_name: "My Acme".to_owned(),
            kinds: vec![DeviceKind::Vehicle, DeviceKind::Charger],
        }
    }

    #[test]
    fn every_page_renders_in_every_language() {
        for (language, tag) in [("en-US", "en"), ("de-DE", "de")] {
            let render = |page: &dyn askama::DynTemplate| {
                let html = page.dyn_render().unwrap();
                check(&html, tag);
                html
            };
            let kinds = [DeviceKind::Vehicle, DeviceKind::Meter];
            let consent = render(&ConsentPage {
                f: frame(language, |t| t.intro_title),
                code: "c0de".to_owned(),
                kinds: Asked::of(&kinds, &[Scope::VehicleReadData, Scope::MeterReadData]),
            });
            assert!(consent.contains("value=\"c0de\"") && consent.contains("/link/tok/cancel"));
            for (choices, is_filtered) in [(vec![choice()], false), (Vec::new(), true)] {
                render(&ChoosePage {
                    f: frame(language, |t| t.choose_title),
                    code: "c0de".to_owned(),
                    query: "\"><x".to_owned(),
                    kind: Some(DeviceKind::Vehicle),
                    kinds: kinds.to_vec(),
                    choices,
                    is_filtered,
                });
            }
            render(&RedirectPage {
                f: frame(language, |t| t.redirect_title),
                url: "https://acme.example/?a=1&b=2".to_owned(),
                host: "acme.example".to_owned(),
            });
            let field = FormField {
                name: "password",
                label: "Password",
                kind: FormFieldKind::Password,
                autocomplete: "current-password",
            };
            let secret = "hunter2".to_owned();
            let form = render(&FormPage {
                f: frame(language, |t| t.form_title),
                code: "c0de".to_owned(),
                fields: vec![Field::of(field, Some(&secret))],
                problem: Some("Wrong password".to_owned()),
            });
            assert!(!form.contains("hunter2"));
            let mut waiting = frame(language, |t| t.device_title);
            waiting.refresh = Some((5, "/sign-in"));
            let device = render(&DevicePage {
                f: waiting,
                rows: vec![("Password", "abc".to_owned())],
                can_choose: true,
            });
            assert!(device.contains("content=\"5;url=/link/tok/sign-in\""));
            render(&DonePage {
                f: frame(language, |t| t.done_title),
            });
            for can_choose in [true, false] {
                let f = frame(language, |t| t.failed_title);
                let text = f.t.denied;
                render(&FailedPage {
                    f,
                    text,
                    can_choose,
                });
            }
            for trouble in [
                LinkTrouble::Unknown,
                LinkTrouble::Expired,
                LinkTrouble::Used,
                LinkTrouble::OtherBrowser,
                LinkTrouble::Full,
                LinkTrouble::Unreadable,
                LinkTrouble::Internal,
            ] {
                let t = Language::choose(language, None).texts();
                let (title, text) = t.trouble(trouble);
                let start = Some("/link/tok".to_owned());
                render(&NoticePage {
                    t,
                    base: "",
                    title,
                    text,
                    start,
                });
            }
        }
    }
}
