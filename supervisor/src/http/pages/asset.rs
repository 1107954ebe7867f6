//! The files that pages are made of.

use std::hash::{DefaultHasher, Hasher};
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::Problem;

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($name:literal, $kind:expr) => {
        Asset {
            name: $name,
            kind: $kind,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $name)),
        }
    };
}

const ASSETS: &[Asset] = &[
    asset!("control-room.css", CSS),
    asset!("control-room.js", JS),
    asset!("charts.js", JS),
    asset!("events.js", JS),
    asset!("forms.js", JS),
    asset!("keys.js", JS),
    asset!("live.js", JS),
    asset!("memory.js", JS),
    asset!("morph.js", JS),
    asset!("page.js", JS),
    asset!("theme.js", JS),
    asset!("times.js", JS),
    asset!("mark.svg", "image/svg+xml"),
    asset!("uplot.min.css", CSS),
    asset!("uplot.min.js", JS),
    asset!("uplot.LICENSE", "text/plain; charset=utf-8"),
];

/// One version for all of them, made from their bytes, because modules name each other
/// by relative addresses.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    for asset in ASSETS {
        hasher.write(asset.name.as_bytes());
        hasher.write(asset.bytes);
    }
    format!("{:016x}", hasher.finish())
});

/// The route; the version is part of the address.
pub(super) const ROUTE: &str = "/assets/{version}/{name}";

/// Returns the address of a file.
pub(super) fn href(name: &str) -> String {
    debug_assert!(ASSETS.iter().any(|asset| asset.name == name), "{name}");
    format!("/assets/{}/{name}", *VERSION)
}

pub(super) async fn asset(
    Path((version, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return Problem::not_found("there is no such file; reload the page").into_response();
    };
    // A page of another version of this program, seen during an update, gets what there
    // is now and does not keep it.
    let keep = match version == *VERSION {
        true => "public, max-age=31536000, immutable",
        false => "no-store",
    };
    let tag = format!("\"{}\"", *VERSION);
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let answer = [
        (header::CONTENT_TYPE, asset.kind.to_owned()),
        (header::CACHE_CONTROL, keep.to_owned()),
        (header::ETAG, tag.clone()),
    ];
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, answer).into_response();
    }
    (answer, asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_or_explained() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "README.md")
            .collect();
        names.sort();
        let mut served: Vec<_> = ASSETS.iter().map(|asset| asset.name).collect();
        served.sort_unstable();
        assert_eq!(names, served);
    }

    #[test]
    fn modules_name_only_files_that_are_served() {
        for asset in ASSETS.iter().filter(|asset| asset.kind == JS) {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            for part in text.split("from \"./").skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(ASSETS.iter().any(|asset| asset.name == name), "{name}");
            }
        }
    }
}
