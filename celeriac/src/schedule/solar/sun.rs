//! Where the sun stands: the low-accuracy formulas of Meeus, "Astronomical Algorithms",
//! chapters 12 and 25, right to 0.01 degrees between 1900 and 2100.

use crate::schedule::time::SECOND;

const DAY: f64 = 86_400.0;
/// The epoch J2000.0, 2000-01-01T12:00 UTC, in seconds since 1970. Terrestrial time is about a
/// minute ahead of it, in which the sun moves less than the error of the formulas.
const J2000: f64 = 946_728_000.0;
/// Degrees that light is bent by at the horizon.
const REFRACTION: f64 = 34.0 / 60.0;
/// The sun's radius in degrees at the mean distance.
const RADIUS: f64 = 959.63 / 3600.0;
/// Degrees that the sun at the horizon stands lower than seen from the Earth's centre.
const PARALLAX: f64 = 8.794 / 3600.0;

/// Rounds after which an event moves less than a second any more.
const ROUNDS: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crossing {
    Rising,
    Transit,
    Setting,
}

/// Where the sun is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Angle {
    crossing: Crossing,
    /// Degrees below the horizon.
    below: f64,
    /// Whether it is the upper edge that counts.
    edge: bool,
}

impl Angle {
    pub(super) const fn centre(crossing: Crossing, below: f64) -> Self {
        Self {
            crossing,
            below,
            edge: false,
        }
    }

    pub(super) const fn edge(crossing: Crossing) -> Self {
        Self {
            crossing,
            below: REFRACTION,
            edge: true,
        }
    }
}

/// The sun at an instant, in degrees, and its distance in mean ones.
struct Position {
    /// Of Greenwich: how far it is past the meridian.
    hour_angle: f64,
    declination: f64,
    distance: f64,
}

fn position(second: f64) -> Position {
    let days = (second - J2000) / DAY;
    let t = days / 36_525.0;
    let mean_longitude = 280.466_46 + t * (36_000.769_83 + t * 0.000_303_2);
    let anomaly = (357.529_11 + t * (35_999.050_29 - t * 0.000_153_7)).to_radians();
    let eccentricity = 0.016_708_634 - t * (0.000_042_037 + t * 0.000_000_126_7);
    let centre = (1.914_602 - t * (0.004_817 + t * 0.000_014)) * anomaly.sin()
        + (0.019_993 - t * 0.000_101) * (2.0 * anomaly).sin()
        + 0.000_289 * (3.0 * anomaly).sin();
    let node = (125.04 - 1934.136 * t).to_radians();
    let longitude = (mean_longitude + centre - 0.005_69 - 0.004_78 * node.sin()).to_radians();
    let obliquity = 23.439_291 - t * (0.013_004_2 + t * 0.000_000_16) + 0.002_56 * node.cos();
    let obliquity = obliquity.to_radians();
    let ascension = (obliquity.cos() * longitude.sin()).atan2(longitude.cos());
    let declination = (obliquity.sin() * longitude.sin()).asin();
    let distance = 1.000_001_018 * (1.0 - eccentricity * eccentricity)
        / (1.0 + eccentricity * (anomaly + centre.to_radians()).cos());
    let sidereal = 280.460_618_37 + 360.985_647_366_29 * days + t * t * 0.000_387_933
        - 0.004_78 * node.sin() * obliquity.cos();
    Position {
        hour_angle: sidereal - ascension.to_degrees(),
        declination: declination.to_degrees(),
        distance,
    }
}

/// Returns the day, from solar midnight to midnight, of an instant over a longitude.
pub(super) fn day_of(micros: i64, longitude: f64) -> i64 {
    let second = micros.div_euclid(SECOND) as f64;
    ((second + longitude * 240.0) / DAY).floor() as i64
}

/// Returns when the sun does something on a day, in microseconds; `None` when it does not.
///
/// It is a whole second: the last bits of sine and cosine are the platform's, and two leaders
/// must agree.
pub(super) fn event(day: i64, latitude: f64, longitude: f64, angle: Angle) -> Option<i64> {
    let latitude = latitude.to_radians();
    let mut second = day as f64 * DAY + DAY / 2.0 - longitude * 240.0;
    // The sun moves a degree while the Earth turns once: each round is some 360 times nearer.
    let mut target = 0.0;
    for round in 0..ROUNDS {
        let sun = position(second);
        // The first round finds noon; only from there is there a rising before, a setting after.
        if round > 0 && angle.crossing != Crossing::Transit {
            let last = round + 1 == ROUNDS;
            target = crossing(latitude, &sun, angle, last)?;
        }
        let off = target - (sun.hour_angle + longitude);
        // From noon the way to a target is not the shorter one round.
        let off = if round == 1 {
            target
        } else {
            off - 360.0 * (off / 360.0).round()
        };
        second += off / 360.0 * DAY;
    }
    Some(second.round() as i64 * SECOND)
}

/// Returns the hour angle at which the sun crosses a height, in degrees. Where it does not, that
/// is its highest or lowest place until the last round: it may be elsewhere by then.
fn crossing(latitude: f64, sun: &Position, angle: Angle, last: bool) -> Option<f64> {
    let radius = if angle.edge {
        RADIUS / sun.distance
    } else {
        0.0
    };
    let height = (PARALLAX - angle.below - radius).to_radians();
    let declination = sun.declination.to_radians();
    let cosine =
        (height.sin() - latitude.sin() * declination.sin()) / (latitude.cos() * declination.cos());
    if last && !(-1.0..=1.0).contains(&cosine) {
        return None;
    }
    let hour_angle = cosine.clamp(-1.0, 1.0).acos().to_degrees();
    Some(match angle.crossing {
        Crossing::Rising => -hour_angle,
        _ => hour_angle,
    })
}
