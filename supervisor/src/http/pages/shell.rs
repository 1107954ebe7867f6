//! What every page shares: the frame, who looks at it, and what they may do.

use std::convert::Infallible;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::asset;
use super::text::{self, Markup};
use crate::access::{Identity, Role, Via};
use crate::http::{Desk, Problem};

/// Who looks at which address, and what the action before has to say.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) who: Identity,
    pub(super) path: String,
    pub(super) query: String,
    note: Option<Note>,
}

/// What stands around the content of a page.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) app: String,
    /// Kinds of changes that renew the page, with spaces between them.
    pub(super) live: &'static str,
    pub(super) now: String,
    pub(super) who: String,
    pub(super) role: &'static str,
    pub(super) via: &'static str,
    pub(super) note: Option<Note>,
    pub(super) troubles: Vec<Note>,
    pub(super) lights: Vec<Light>,
    place: Place,
    badges: [Option<Badge>; 2],
}

/// A message in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) tone: &'static str,
    pub(super) text: String,
}

/// Whether something that everything hangs on works.
#[derive(Debug)]
pub(super) struct Light {
    pub(super) tone: &'static str,
    pub(super) text: String,
}

/// A page of the rail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Nodes,
    Tasks,
    Queues,
    Schedules,
    Letters,
    Events,
    Audit,
    Help,
    /// None of them.
    Elsewhere,
}

pub(super) struct Link {
    pub(super) name: &'static str,
    pub(super) href: &'static str,
    pub(super) icon: &'static str,
    pub(super) here: bool,
    pub(super) badge: Option<Badge>,
}

#[derive(Debug, Clone)]
pub(super) struct Badge {
    pub(super) count: String,
    pub(super) what: &'static str,
    pub(super) tone: &'static str,
}

/// Whether somebody may do something; a control that they may not use shows why.
#[derive(Debug, Clone, Copy)]
pub(super) struct May {
    allowed: bool,
    pub(super) reason: &'static str,
}

const PRODUCT: &str = "celeriac";

const PLACES: [(Place, &str, &str, &str); 9] = [
    (
        Place::Overview,
        "Overview",
        "/",
        "M2 2h5v5H2zM9 2h5v3H9zM9 7h5v7H9zM2 9h5v5H2z",
    ),
    (
        Place::Nodes,
        "Nodes",
        "/nodes",
        "M2 2.5h12v4H2zM2 9.5h12v4H2zM4.5 4.5h.01M4.5 11.5h.01",
    ),
    (
        Place::Tasks,
        "Tasks",
        "/tasks",
        "M2 4l1.2 1.2L5.5 3M2 8.5l1.2 1.2 2.3-2.2M2 13l1.2 1.2 2.3-2.2M8 4h6M8 8.5h6M8 13h6",
    ),
    (
        Place::Queues,
        "Queues",
        "/queues",
        "M1.5 5h9v6h-9zM4.5 5v6M7.5 5v6M12.5 8h2.5m-1.2-1.5L15 8l-1.2 1.5",
    ),
    (
        Place::Schedules,
        "Schedules",
        "/schedules",
        "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.5",
    ),
    (
        Place::Letters,
        "Dead letters",
        "/dead-letters",
        "M1.5 3.5h13v9h-13zM1.5 4l6.5 5 6.5-5",
    ),
    (Place::Events, "Events", "/events", "M1 8h3l2-5 4 10 2-5h3"),
    (
        Place::Audit,
        "Audit",
        "/audit",
        "M8 1.5l5.5 2v4.3c0 3.2-2.2 5.5-5.5 6.7-3.3-1.2-5.5-3.5-5.5-6.7V3.5zM5.8 8l1.7 1.7 2.9-3.1",
    ),
    (
        Place::Help,
        "Help",
        "/help",
        "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM6.3 6.3a1.8 1.8 0 1 1 2.5 1.7c-.6.3-.8.6-.8 1.2M8 11.3v.01",
    ),
];

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Identity>().cloned();
        // Error pages are shown to those who passed no gate, too; they may do nothing.
        let who = known.unwrap_or_else(|| Identity::new("nobody", Role::Viewer, Via::Anonymous));
        Ok(Self {
            who,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            note: Note::of(&parts.headers),
        })
    }
}

impl Visit {
    /// Says whether the visitor may do what `role` may.
    pub(super) fn may(&self, role: Role) -> May {
        let reason = match role {
            Role::Viewer => "your role may not look at this",
            Role::Operator => "your role is viewer: controls need operator or admin",
            Role::Admin => "this needs the role admin",
        };
        May {
            allowed: self.who.role >= role,
            reason,
        }
    }
}

impl May {
    pub(super) fn allowed(&self) -> bool {
        self.allowed
    }

    /// The attributes of a button.
    pub(super) fn off(&self) -> Markup {
        match self.allowed {
            true => Markup::default(),
            false => Markup(format!(" disabled title=\"{}\"", self.reason)),
        }
    }

    /// A line that says why a button is off.
    pub(super) fn why(&self) -> Markup {
        match self.allowed {
            true => Markup::default(),
            false => Markup(format!("<p class=\"why\">{}</p>", self.reason)),
        }
    }
}

impl Shell {
    pub(super) fn new(desk: &Desk, visit: &Visit, place: Place, title: impl Into<String>) -> Self {
        let link_up = desk.app.broker().link().borrow().is_up();
        let consuming = desk.board.is_consuming();
        let mut lights = vec![match (link_up, consuming) {
            (false, _) => Light::new("bad", "broker out of reach"),
            (true, false) => Light::new("warn", "not consuming events"),
            (true, true) => Light::new("good", "broker connected"),
        }];
        lights.extend(super::lights::all(desk));
        let mut troubles = Vec::new();
        if !link_up {
            let text = "The broker is out of reach: figures stand still, and controls fail until it is back. \
                        What is in the history can be read.";
            troubles.push(Note::new("bad", text));
        }
        Self {
            title: title.into(),
            app: desk.app.name().to_owned(),
            live: "",
            now: text::now().to_string(),
            who: visit.who.name.to_string(),
            role: visit.who.role.as_str(),
            via: visit.who.via.as_str(),
            note: visit.note.clone(),
            troubles,
            lights,
            place,
            badges: super::lights::badges(desk),
        }
    }

    /// Names the kinds of changes that renew the page.
    pub(super) fn live(mut self, kinds: &'static str) -> Self {
        self.live = kinds;
        self
    }

    /// Adds a message of this request's own.
    pub(super) fn trouble(mut self, problem: &Problem) -> Self {
        self.troubles.push(Note::new("bad", problem.detail()));
        self
    }

    /// What the title ends with.
    pub(super) fn site(&self) -> String {
        match self.app == PRODUCT {
            true => PRODUCT.to_owned(),
            false => format!("{} · {PRODUCT}", self.app),
        }
    }

    /// What stands below the product's name; an app that was not named says nothing.
    pub(super) fn subtitle(&self) -> &str {
        match self.app == PRODUCT {
            true => "control room",
            false => &self.app,
        }
    }

    pub(super) fn asset(&self, name: &str) -> Markup {
        Markup(asset::href(name))
    }

    pub(super) fn links(&self) -> impl Iterator<Item = Link> + '_ {
        PLACES.iter().map(|&(place, name, href, icon)| Link {
            name,
            href,
            icon,
            here: place == self.place,
            badge: match place {
                Place::Nodes => self.badges[0].clone(),
                Place::Letters => self.badges[1].clone(),
                _ => None,
            },
        })
    }
}

impl Light {
    pub(super) fn new(tone: &'static str, text: impl Into<String>) -> Self {
        Self {
            tone,
            text: text.into(),
        }
    }
}

/// The cookie that carries what an action has to say to the page that follows. Only this
/// server sets it, so that no link can put words into a page.
const NOTE: &str = "celeriac_note";
const NOTE_MAX: usize = 600;

impl Note {
    pub(super) fn new(tone: &'static str, text: impl Into<String>) -> Self {
        Self {
            tone,
            text: text.into(),
        }
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).iter();
        let texts = cookies.filter_map(|value| value.to_str().ok());
        let mut pairs = texts
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let value = pairs.find_map(|(name, value)| (name == NOTE).then_some(value))?;
        let (tone, text) = value.split_once('.')?;
        let tone = ["good", "warn", "bad"]
            .into_iter()
            .find(|known| *known == tone)?;
        Some(Self::new(tone, decoded(text)?))
    }

    fn cookie(&self) -> HeaderValue {
        let text = text::url(&crate::cluster::cut(&self.text, NOTE_MAX)).0;
        let value = format!(
            "{NOTE}={}.{text}; Path=/; Max-Age=15; SameSite=Strict; HttpOnly",
            self.tone
        );
        HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static(GONE))
    }
}

const GONE: &str = "celeriac_note=; Path=/; Max-Age=0; SameSite=Strict; HttpOnly";

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Answers with a page.
pub(super) fn page(shown: &Shell, template: &impl Template) -> Response {
    page_with(StatusCode::OK, shown, template)
}

/// Answers with a page and a status.
pub(super) fn page_with(status: StatusCode, shown: &Shell, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            // Templates format plain values; nothing in them fails.
            tracing::error!(%error, "a page could not be written");
            return Problem::new(
                500,
                "internal",
                "the page could not be written; the log says more",
            )
            .into_response();
        }
    };
    let mut response = (status, Html(html)).into_response();
    if shown.note.is_some() {
        response
            .headers_mut()
            .append(header::SET_COOKIE, HeaderValue::from_static(GONE));
    }
    response
}

/// Answers a form with the page to go to, and what to say there.
pub(super) fn done(to: &str, text: impl Into<String>) -> Response {
    went(to, "good", text)
}

/// Like [`done`], in the tone of what happened.
pub(super) fn went(to: &str, tone: &'static str, text: impl Into<String>) -> Response {
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    let cookie = Note::new(tone, text).cookie();
    let headers = [(header::LOCATION, to), (header::SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_note_survives_the_cookie() {
        let note = Note::new("warn", "3 of 5 – \"done\"; <b>\r\nSet-Cookie: x=1");
        let cookie = note.cookie();
        let text = cookie.to_str().unwrap();
        let pair = text.split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("other=1; {pair}").parse().unwrap());
        assert_eq!(Note::of(&headers), Some(note));
    }

    #[test]
    fn a_cookie_that_is_none_of_ours_says_nothing() {
        for value in [
            "celeriac_note=",
            "celeriac_note=evil.text",
            "celeriac_note=good.%zz",
            "a=b",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, value.parse().unwrap());
            assert_eq!(Note::of(&headers), None, "{value}");
        }
    }

    #[test]
    fn a_control_that_may_not_be_used_says_why() {
        let viewer = Visit {
            who: Identity::new("eve", Role::Viewer, Via::Password),
            path: "/".to_owned(),
            query: String::new(),
            note: None,
        };
        assert!(viewer.may(Role::Operator).off().0.contains("disabled"));
        assert!(viewer.may(Role::Admin).why().0.contains("admin"));
        let admin = Visit {
            who: Identity::new("ada", Role::Admin, Via::Password),
            ..viewer
        };
        assert_eq!(admin.may(Role::Admin).off(), Markup::default());
    }
}
